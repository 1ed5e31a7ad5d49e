"""Listener: an app over TLS for machines elsewhere, with a certificate of the cluster's own."""

import ssl
import tempfile
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import uvicorn
from anyio.abc import SocketAttribute
from fastapi import FastAPI

from littoral.control.entrance import Entrance
from littoral.domain.enrolment import Place
from littoral.domain.errors import Busy
from littoral.trust.certificate import Issuer

DRAIN_S = 5
MOST_CONNECTIONS = 512
KEEP_ALIVE_S = 15
FRESH_S = 6 * 3600
"""How often a new certificate is shown; each lives for days."""


class Server(uvicorn.Server):
    """Leaves signals to the app, which stops it by cancellation."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


async def until_cancelled(server: uvicorn.Server) -> None:
    """Tell a server to end once this task is cancelled."""
    try:
        await anyio.sleep_forever()
    finally:
        server.should_exit = True


async def listen(app: FastAPI, place: Place, certificate: Callable[[], Awaitable[Issuer]]) -> None:
    """Serve an app at a place over TLS 1.3 until cancelled.

    Args:
        app: What answers.
        place: Where.
        certificate: Makes a chain and its key; asked anew from time to time.

    Raises:
        Busy: The address is taken, or not one of this host.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    show(context, await certificate())
    try:
        listener = await anyio.create_tcp_listener(local_host=place.host, local_port=place.port)
    except OSError as error:
        raise Busy(
            f"cannot listen on {place.host} port {place.port} for nodes: "
            f"{error.strerror or error}; choose another nodes_listen"
        ) from error
    async with listener, anyio.create_task_group() as group:
        raws = [each.extra(SocketAttribute.raw_socket) for each in listener.listeners]  # noqa: S610  anyio's, not Django's
        server = Server(_public_config(app, context))
        group.start_soon(until_cancelled, server)
        group.start_soon(_refresh, context, certificate)
        with anyio.CancelScope(shield=True):
            await server.serve(sockets=raws)
        group.cancel_scope.cancel()


def show(context: ssl.SSLContext, issuer: Issuer) -> None:
    """Show this certificate from the next handshake on. Its key is on disk for a moment only."""
    with tempfile.TemporaryDirectory(prefix="littoral-tls-") as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(issuer.certificate, "ascii")
        key.touch(mode=0o600)
        key.write_text(issuer.key, "ascii")
        context.load_cert_chain(chain, key)


async def _refresh(context: ssl.SSLContext, certificate: Callable[[], Awaitable[Issuer]]) -> None:
    while True:
        await anyio.sleep(FRESH_S)
        show(context, await certificate())


def _public_config(app: FastAPI, context: ssl.SSLContext) -> uvicorn.Config:
    def shown(made: uvicorn.Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        del made, default
        return context

    made = config(app)
    made.http = Entrance
    made.limit_concurrency = MOST_CONNECTIONS
    made.timeout_keep_alive = KEEP_ALIVE_S
    made.ssl_context_factory = shown
    return made


def config(app: FastAPI) -> uvicorn.Config:
    """How each app of control is served: HTTP only, and uvicorn says nothing of its own."""
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
