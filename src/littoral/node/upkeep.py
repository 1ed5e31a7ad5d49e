"""Upkeep: what keeps a node one of its cluster, beside serving: errands, renewal, what is wrong."""

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import msgspec

from littoral.domain.enrolment import STANDING, Standing
from littoral.domain.errors import StorageFull
from littoral.domain.ports import Clock, Disk
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do, Done, Issued
from littoral.node.board import Board
from littoral.node.errand import Errands
from littoral.node.renewal import Renewal
from littoral.node.signal import Signal

LOOK = Seconds(2.0)
"""How often the standing is written at most, and after how long it is looked at without news."""
SELDOM = Seconds(60.0)
MOST_WAITING = 16


class Upkeep:
    """Takes control's frames of upkeep, and writes down how the node stands with it.

    Args:
        errands: Does what control asks.
        renewal: Keeps the certificate good; None for a node without one.
        board: Shows what is wrong.
        disk: Where the standing is written for people on this machine.
        clock: Dates it.
    """

    def __init__(
        self,
        errands: Errands,
        renewal: Renewal | None,
        *,
        board: Board,
        disk: Disk,
        clock: Clock,
    ) -> None:
        self._errands = errands
        self._renewal = renewal
        self._board = board
        self._disk = disk
        self._clock = clock
        self._waiting: deque[Do] = deque(maxlen=MOST_WAITING)
        self._came = Signal()
        self._written: Standing | None = None

    def take(self, frame: Frame) -> bool:
        """Take a frame of control's; False where it is none of upkeep."""
        if isinstance(frame, Do):
            self._waiting.append(frame)
            self._came.notify()
            return True
        if isinstance(frame, Issued):
            if self._renewal is not None:
                self._renewal.issued(frame)
            return True
        return False

    def lost(self, code: str, welcomed: bool) -> None:  # noqa: FBT001  it is called back
        """The session ended, or none began; it may be that this node is one no longer.

        Args:
            code: The reason that control gave; empty where it gave none.
            welcomed: Whether control said it in a session that it had opened: then a revocation
                is one. Where it only refused a session, the certificate may be to blame.
        """
        if self._renewal is None:
            return
        if code == "revoked" and welcomed:
            self._renewal.ended()
        elif code in {"revoked", "certificate"}:
            self._renewal.doubted()
        else:
            self._renewal.failed()

    async def run(
        self, send: Callable[[Done], Awaitable[bool]], standing: Callable[[], tuple[bool, str]]
    ) -> None:
        """Keep up until cancelled.

        Args:
            send: Sends control a frame.
            standing: Whether control is connected, and why not.

        Raises:
            Revoked: This node is one no longer.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._answer, send)
            group.start_soon(self._stand, standing)
            if self._renewal is not None:
                group.start_soon(self._renewal.run)

    async def _answer(self, send: Callable[[Done], Awaitable[bool]]) -> None:
        """One errand after the other."""
        while True:
            if not self._waiting:
                await self._came.wait()
                continue
            await send(await self._errands.do(self._waiting.popleft()))

    async def _stand(self, standing: Callable[[], tuple[bool, str]]) -> None:
        """Write down how this node stands with control, when that changed."""
        while True:
            connected, reason = standing()
            trouble = (*((reason,) if reason else ()), *self._board.trouble)
            held = None if self._renewal is None else self._renewal.credentials
            now = Standing(
                connected=connected,
                trouble=trouble,
                since_us=self._clock.wall(),
                until_us=None if held is None else held.life.end_us,
            )
            news = self._written is None or _differs(now, self._written)
            if not news or self._write(now):
                await self._board.changed.wait(at_most_s=SELDOM)
            await anyio.sleep(LOOK)

    def _write(self, now: Standing) -> bool:
        try:
            self._disk.write(STANDING, msgspec.json.encode(now))
        except StorageFull:
            return False  # it is for people to read, and is written at the next look
        self._written = now
        return True


def _differs(one: Standing, other: Standing) -> bool:
    return (one.connected, one.trouble, one.until_us) != (
        other.connected,
        other.trouble,
        other.until_us,
    )
