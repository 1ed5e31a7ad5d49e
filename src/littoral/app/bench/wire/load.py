"""One worker's share of the load: sends at the scheduled moments, whatever the answers do."""

import asyncio
import ssl
from collections import deque
from typing import Final, final

from littoral.app.bench.message import Address, Job, Report, Row, Task
from littoral.app.bench.request import RequestMaker
from littoral.app.bench.wire.connection import Connection
from littoral.app.bench.wire.exchange import Exchange
from littoral.app.bench.wire.pacer import Pacer
from littoral.app.certificate import trust_in, trust_of
from littoral.domain.ports import Clock

IDLE_S: Final = 4.0
"""A connection that rested longer is not used again: many services close after five seconds."""
TICK_S: Final = 0.05


def _trust(address: Address) -> ssl.SSLContext | None:
    """Whom to trust to be the service; None without TLS."""
    if not address.tls:
        return None
    if address.authority:
        return trust_of(address.authority)
    pinned = trust_in(address.certificate)
    return pinned if isinstance(pinned, ssl.SSLContext) else ssl.create_default_context()


@final
class Load:
    """Open loop: the schedule alone says when. Closed loop: each client waits for its answer.

    Args:
        task: What to do.
        requests: Makes the bytes.
        loop: The running loop.
        clock: Time.
    """

    def __init__(
        self,
        task: Task,
        requests: RequestMaker,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
    ) -> None:
        self._task = task
        self._requests = requests
        self._loop = loop
        self._clock = clock
        self._pacer = Pacer(loop, self._step)
        self._tls = _trust(task.address)
        self._idle: deque[Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._flying: set[Exchange] = set()
        self._waiting: deque[tuple[Job, float, bytes]] = deque()
        self._next = 0
        self._ahead: bytes = b""
        self._start = 0.0
        self._stopped = False
        self._rows: list[Row] = []
        self._lags: list[float] = []
        self._sent = 0
        self._expected = 0.0
        self.over: asyncio.Future[None] = loop.create_future()

    def begin(self, start: float) -> None:
        """Start at a moment of the clock."""
        self._start = start
        self._look_ahead()
        self._expected = start
        self._loop.call_at(self._loop.time() + start - self._clock.now(), self._tick)
        if self._task.clients:
            self._loop.call_at(self._loop.time() + start - self._clock.now(), self._open_clients)
        else:
            self._step()

    def stop(self) -> None:
        """Send no more; what is under way has no outcome."""
        self._stopped = True
        for exchange in list(self._flying):
            if exchange.timer is not None:
                exchange.timer.cancel()
            self._rows.append(exchange.row(self._start))
            if exchange.connection is not None:
                exchange.connection.abort()
        for job, at, _ in self._waiting:
            self._rows.append(Exchange(job, at=at, data=b"", over=self._over).row(self._start))
        self._flying.clear()
        self._waiting.clear()
        self._end_if_over()

    def report(self) -> Report:
        """What happened since the last one."""
        made = Report(
            rows=self._rows,
            sent=self._sent,
            flight=len(self._flying),
            waiting=len(self._waiting),
            lags=self._lags,
            cpu=0.0,
            done=self.over.done(),
        )
        self._rows, self._lags = [], []
        return made

    # when

    def _step(self) -> None:
        """Send what is due; wake for the next."""
        jobs = self._task.jobs
        while self._next < len(jobs) and not self._stopped:
            job = jobs[self._next]
            wait = self._start + job.at - self._clock.now()
            if wait > 0:
                self._pacer.after(wait)
                return
            self._next += 1
            self._send(job, self._start + job.at, self._ahead or self._requests.make(job))
            self._look_ahead()
        self._end_if_over()

    def _look_ahead(self) -> None:
        """Make the next request while there is time."""
        jobs = self._task.jobs
        closed = self._task.clients
        self._ahead = (
            b"" if closed or self._next >= len(jobs) else self._requests.make(jobs[self._next])
        )

    def _open_clients(self) -> None:
        for _ in range(self._task.clients):
            self._again()
        self._end_if_over()

    def _again(self) -> None:
        """A client of a closed loop sends its next request."""
        now = self._clock.now()
        late = now - self._start >= self._task.duration
        if late or self._stopped or self._next >= self._task.count:
            return
        jobs = self._task.jobs
        model = jobs[self._next % len(jobs)]
        index = jobs[0].index + self._next * self._task.step
        job = Job(index, now - self._start, model.tokens_in, model.tokens_out, model.blocks)
        self._next += 1
        self._send(job, now, self._requests.make(job))

    def _end_if_over(self) -> None:
        if self._flying or self._waiting or self.over.done():
            return
        left = self._next < len(self._task.jobs) and not self._task.clients
        if self._stopped or not left:
            self._pacer.close()
            self.over.set_result(None)

    def _tick(self) -> None:
        """Measure how late the loop itself is."""
        now = self._clock.now()
        self._lags.append(max(0.0, now - self._expected))
        if not self.over.done():
            self._expected = now + TICK_S
            self._loop.call_later(TICK_S, self._tick)

    # how

    def _send(self, job: Job, at: float, data: bytes) -> None:
        if len(self._flying) >= self._task.most_in_flight:
            self._waiting.append((job, at, data))
            return
        exchange = Exchange(job, at=at, data=data, over=self._over)
        self._flying.add(exchange)
        exchange.timer = self._loop.call_later(self._task.timeout, exchange.time_out)
        self._sent += 1
        self._dispatch(exchange)

    def _dispatch(self, exchange: Exchange) -> None:
        now = self._clock.now()
        while self._idle and not exchange.retried:
            connection = self._idle.pop()
            usable = connection.transport is not None and not connection.transport.is_closing()
            if usable and now - connection.idle_since < IDLE_S:
                exchange.begin(connection, now)
                return
            connection.abort()
        opening = self._loop.create_task(self._connect(exchange))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _connect(self, exchange: Exchange) -> None:
        """Open a connection for a request: its time is part of the request's."""
        address = self._task.address
        exchange.sent = exchange.sent or self._clock.now()
        try:
            _, connection = await self._loop.create_connection(
                lambda: Connection(self._clock, streamed=self._task.work.stream),
                address.peer,
                address.port,
                ssl=self._tls,
                server_hostname=address.host if address.tls else None,
            )
        except OSError as error:
            exchange.end("no connection", str(error.strerror or error))
            return
        if exchange.kind or self._stopped:
            connection.abort()
        else:
            exchange.begin(connection, self._clock.now())

    def _over(self, exchange: Exchange) -> None:
        """An exchange has its outcome, or asks for a new connection."""
        if not exchange.kind:
            self._dispatch(exchange)
            return
        if exchange not in self._flying:
            return
        self._flying.discard(exchange)
        if exchange.last is None:
            exchange.last = self._clock.now()
        self._rows.append(exchange.row(self._start))
        connection = exchange.connection
        if connection is not None and connection.release():
            self._idle.append(connection)
        if self._waiting:
            self._send(*self._waiting.popleft())
        if self._task.clients:
            self._again()
        self._end_if_over()
