"""Downloads over HTTPS, from control and from peers: never redirected, and by no unasked proxy."""

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, final

import httpx2

from littoral.domain.delivery import Answered, Cut
from littoral.domain.units import Seconds

CONNECT_S: Final = Seconds(10.0)
IDLE_S: Final = Seconds(20.0)
"""A download that brings nothing for so long is cut and asked for anew."""
SMALL: Final = 16 << 10
"""Receive buffer on a line that is held back: what waits there delays everything else."""


@final
class HttpsDownloads:
    """Adapter of ``Downloads``.

    Args:
        trust: Whom to believe, now; None: plain http, for loopback in tests.
        name: The name that the server's certificate must have, whatever its address.
        proxy: Through which HTTP proxy; empty: none, whatever the environment says.
    """

    def __init__(
        self, trust: Callable[[], ssl.SSLContext] | None, *, name: str = "", proxy: str = ""
    ) -> None:
        self._trust = trust
        self._proxy = proxy or None
        self._extensions = {"sni_hostname": name} if name else {}

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes."""
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)] if gently else None
        verify = self._trust() if self._trust is not None else True
        transport = httpx2.AsyncHTTPTransport(
            verify=verify, trust_env=False, socket_options=options, proxy=self._proxy
        )
        headers = {"Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        timeout = httpx2.Timeout(IDLE_S, connect=CONNECT_S)
        try:
            async with (
                httpx2.AsyncClient(transport=transport, timeout=timeout) as client,
                client.stream(
                    "GET", address, headers=headers, extensions=self._extensions
                ) as answer,
            ):
                yield Answered(
                    status=answer.status_code, begin=_begin(answer), pieces=_pieces(answer)
                )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Cut(f"{type(error).__name__}: {error}") from error


async def _pieces(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx2.HTTPError as error:
        raise Cut(f"{type(error).__name__}: {error}") from error


def _begin(answer: httpx2.Response) -> int:
    """Where the body begins, by its own word; -1 where that cannot be read."""
    unit, _, rest = answer.headers.get("content-range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1
