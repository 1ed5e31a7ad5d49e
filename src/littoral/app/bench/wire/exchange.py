"""One request under way, from its scheduled moment to its row."""

import asyncio
from collections.abc import Callable
from typing import final

from littoral.app.bench.message import OK, UNFINISHED, Job, Row
from littoral.app.bench.wire.connection import Connection

MOST_DETAIL = 200


@final
class Exchange:
    """Sends one request on a connection and waits for its answer.

    Args:
        job: What to send.
        at: Its scheduled moment, seconds on the clock.
        data: Its bytes.
        over: Called once with it, when it has an outcome.
    """

    __slots__ = (
        "_over",
        "at",
        "connection",
        "data",
        "detail",
        "job",
        "kind",
        "last",
        "retried",
        "sent",
        "timer",
    )

    def __init__(
        self, job: Job, *, at: float, data: bytes, over: Callable[["Exchange"], None]
    ) -> None:
        self.job = job
        self.at = at
        self.data = data
        self._over = over
        self.connection: Connection | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.sent: float | None = None
        self.last: float | None = None
        self.kind = self.detail = ""
        self.retried = False

    def begin(self, connection: Connection, now: float) -> None:
        """Send it on this connection."""
        self.connection = connection
        connection.send(self, self.data)
        if self.sent is None:
            self.sent = now

    def answered(self, connection: Connection) -> None:
        """The answer is whole: judge it."""
        self.last = connection.now
        if connection.status != 200:
            text = " ".join(connection.trouble.decode("utf-8", "replace").split())
            self.end(f"http {connection.status}", text)
            return
        connection.digest.finish()
        fault = connection.digest.fault
        self.end("bad answer" if fault else OK, fault)

    def lost(self, connection: Connection, why: str) -> None:
        """The connection is gone; the one that never served this request may be replaced."""
        if connection.reused and connection.fresh and not self.retried:
            self.retried = True
            self.connection = None
            self._over(self)
            return
        self.end("connection lost", why)

    def time_out(self) -> None:
        """It took too long."""
        self.end("timeout", "no whole answer in time")

    def end(self, kind: str, detail: str = "") -> None:
        """Give it its outcome; only the first one counts."""
        if self.kind:
            return
        self.kind, self.detail = kind, detail[:MOST_DETAIL]
        if self.timer is not None:
            self.timer.cancel()
        self._over(self)

    def row(self, start: float) -> Row:
        """What became of it, with times after ``start``."""
        row = Row(
            index=self.job.index,
            at=self.at - start,
            asked_in=self.job.tokens_in,
            asked_out=self.job.tokens_out,
            sent=None if self.sent is None else self.sent - start,
            last=None if self.last is None else self.last - start,
            kind=self.kind or UNFINISHED,
            detail=self.detail,
        )
        if self.connection is not None:
            digest = self.connection.digest
            row.first = None if digest.first is None else digest.first - start
            row.tokens_in, row.tokens_out = digest.tokens_in, digest.tokens_out
            row.cached, row.counted = digest.cached, digest.counted
            row.gaps = digest.gaps.tobytes()
        return row
