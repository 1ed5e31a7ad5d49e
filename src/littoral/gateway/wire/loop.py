"""Loop: one gateway process from its inherited sockets to its exit status."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from typing import Final

import uvloop

from littoral.domain.clock import Clock, Entropy
from littoral.domain.errors import Unavailable
from littoral.domain.failpoint import Failpoints
from littoral.domain.node import Level
from littoral.domain.quota import QuotaTable
from littoral.domain.session import Frame, Said
from littoral.gateway.keyrow import is_over
from littoral.gateway.quota import Quotas
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.settlement import Flights
from littoral.gateway.wire.errand import Errand
from littoral.gateway.wire.exchange import Exchange
from littoral.gateway.wire.link import Link
from littoral.gateway.wire.meaning import embed
from littoral.gateway.wire.panel import Panel
from littoral.gateway.wire.server import Client
from littoral.gateway.wire.tls import HANDSHAKE_S, Certificate
from littoral.gateway.wire.worker import TICK_S, Worker

PULSE_TICKS: Final = 3
OPEN_S: Final = 2.0
"""So long a new gateway takes no connections if its node does not say whom and what it serves."""
CERTIFICATE_TICKS: Final = 20
"""Files of the certificate are looked at each two seconds."""
STOPPED: Final = 0
NODE_GONE: Final = 3
_STOPPING: Final = refuse(Unavailable, "this gateway is stopping", retry_after_s=1.0, close=True)
_ORPHANED: Final = refuse(Unavailable, "this gateway lost its node", retry_after_s=1.0, close=True)
_REVOKED: Final = refuse(Unavailable, "the API key was revoked, or ended", close=True)


def run(  # noqa: PLR0913  the inheritance of one process
    *,
    listener: socket.socket,
    link: socket.socket,
    flight: memoryview,
    quota: QuotaTable,
    node: str,
    control_socket: str,
    pack: Callable[[Frame], bytes],
    unpack: Callable[[bytes], Frame],
    clock: Clock,
    entropy: Entropy,
    drain_s: float,
    certificate: Certificate | None = None,
    failpoints: Failpoints | None = None,
    screener: Callable[[], socket.socket] | None = None,
) -> int:
    """Serve until told to stop.

    Args:
        listener: Bound and listening.
        link: Stream socket to the node, framed by a length of four bytes, big-endian.
        flight: The flight table.
        quota: The quota table, as this process sees it.
        node: This node's name, for ``x-littoral-route``.
        control_socket: Path of control's unix socket.
        pack: Frame to bytes, without the length.
        unpack: The reverse; raises ``Damaged``.
        clock: Time.
        entropy: For request ids.
        drain_s: How long open requests may take to end at a stop.
        certificate: What the listener shows; None where it serves without TLS.
        failpoints: None unless a test armed some.
        screener: Starts the process that redacts, and returns our end of its socket.

    Returns:
        The exit status: 0 after SIGTERM, 3 when the node is gone.
    """
    loop = uvloop.new_event_loop()
    try:
        worker = Worker(
            loop,
            clock=clock,
            entropy=entropy,
            flights=Flights(flight),
            quotas=Quotas(quota),
            node=node,
            control_socket=control_socket,
            failpoints=failpoints,
        )
        if quota.shared:
            worker.source.loads = quota.loads(quota.mine)
        worker.screener.spawn = screener
        worker.embed = embed
        gateway = Gateway(worker, pack, unpack, drain_s=drain_s, certificate=certificate)
        return loop.run_until_complete(gateway.serve(listener, link))
    finally:
        loop.close()


class Gateway:
    """The life of one process.

    Args:
        worker: What its connections share.
        pack: Frame to bytes.
        unpack: Bytes to frame.
        drain_s: How long open requests may take to end at a stop.
        certificate: What the listener shows; None where it serves without TLS.
    """

    def __init__(
        self,
        worker: Worker,
        pack: Callable[[Frame], bytes],
        unpack: Callable[[bytes], Frame],
        *,
        drain_s: float,
        certificate: Certificate | None = None,
    ) -> None:
        self._drain_s = drain_s
        self._certificate = certificate
        self._worker = worker
        self._loop = worker.loop
        self._over: asyncio.Future[int] = worker.loop.create_future()
        self._told = asyncio.Event()
        self._link = Link(
            worker, pack=pack, unpack=unpack, changed=self.keys_changed, lost=self._node_gone
        )
        self._server: asyncio.Server | None = None
        self._stop_by = 0.0
        self._ticks = 0

    async def serve(self, listener: socket.socket, link: socket.socket) -> int:
        """Listen, tick, and return the exit status.

        Who connects before the node has said what is served waits on the shared socket: a gateway
        that follows another one must not refuse keys and models that it does not know yet.
        """
        loop, worker = self._loop, self._worker
        await loop.create_connection(lambda: self._link, sock=link)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._tick()
        loop.call_later(OPEN_S, self._told.set)
        await self._told.wait()
        if worker.linked and not worker.draining:
            await self._listen(listener)
        try:
            return await self._over
        finally:
            worker.report_now()
            worker.batch.flush()
            if self._server is not None:
                self._server.close()

    async def _listen(self, listener: socket.socket) -> None:
        worker, shown = self._worker, self._certificate
        self._server = await self._loop.create_server(
            lambda: Client(worker),
            sock=listener,
            backlog=4096,
            ssl=None if shown is None else shown.context,
            ssl_handshake_timeout=None if shown is None else HANDSHAKE_S,
        )

    def stop(self) -> None:
        """Stop accepting; what is under way may end in its time."""
        worker = self._worker
        if worker.draining:
            return
        worker.draining = True
        self._stop_by = worker.clock.now() + self._drain_s
        if self._server is not None:
            self._server.close()
        if worker.audit is not None:
            worker.audit.stop()
        self._close_idle()

    def _close_idle(self) -> None:
        for client in self._clients():
            if client.answering is None:
                client.cut(_STOPPING)
        for lasting in list(self._worker.sockets):
            lasting.leave(_STOPPING)

    def _clients(self) -> list[Client]:
        return [client for client in self._worker.clients if isinstance(client, Client)]

    def _tick(self) -> None:
        """Ten times a second: time, timers, signs of life, and the end of a drain."""
        worker = self._worker
        worker.tick()
        self._ticks += 1
        if self._certificate is not None and self._ticks % CERTIFICATE_TICKS == 0:
            self._renew(self._certificate)
        if self._ticks % PULSE_TICKS == 0:
            self._link.pulse()
        if worker.draining:
            worker.batch.flush()
            late = worker.now >= self._stop_by
            if late:
                self._cut_all(_STOPPING)
            if late or not (worker.inners or any(c.unfinished for c in self._clients())):
                self._end(STOPPED)
        if not self._over.done():
            self._loop.call_later(TICK_S, self._tick)

    def _cut_all(self, refusal: Refusal) -> None:
        for each in (*self._worker.inners, *self._worker.sockets):
            each.cut(refusal)
        for client in self._clients():
            client.cut(refusal)

    def _end(self, status: int) -> None:
        self._told.set()
        if not self._over.done():
            self._over.set_result(status)

    def _node_gone(self) -> None:
        """Without the node no record becomes durable: end streams, settle, exit.

        Who connects now waits for the next gateway on the shared socket.
        """
        if self._server is not None:
            self._server.close()
        self._cut_all(_ORPHANED)
        self._loop.call_later(TICK_S, self._end, NODE_GONE)

    def _renew(self, certificate: Certificate) -> None:
        """Look for a new certificate; say so, also where it cannot be served."""
        wrong = certificate.renew()
        if wrong:
            self._say("error", "certificate_refused", wrong)
        elif wrong is not None:
            self._say("info", "certificate_renewed", "new connections get the new certificate")

    def _say(self, level: Level, code: str, message: str) -> None:
        self._link.send(Said(level=level, code=code, message=message))

    def keys_changed(self) -> None:
        """End what revoked keys have under way; keep the collector off what will live long."""
        if self._worker.source.served:
            self._told.set()
        keys = self._worker.source.tables.keys
        for client in self._clients():
            exchange = client.answering
            asks = isinstance(exchange, Exchange | Panel | Errand)
            if asks and is_over(keys, exchange.key):
                client.cut(_REVOKED)
        for each in (*self._worker.inners, *self._worker.sockets):
            if is_over(keys, each.key):
                each.cut(_REVOKED)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
