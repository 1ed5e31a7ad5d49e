"""Sharing: this node's slices of limits, on disk before they count, and what is said of them.

A slice that control sends is written down, then put where gateways see it, then, once nothing that
was begun under the old one can still be admitted, answered: from then on control may give others
what this node has less.
"""

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from littoral.domain.errors import StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.limits import Limits, limit_ids
from littoral.domain.ports import Channel, Disk, Failpoints
from littoral.domain.quota import ROWS
from littoral.domain.session import Frame
from littoral.domain.share import (
    NOTHING,
    WHOLE,
    Draw,
    Drawn,
    Shares,
    Slice,
    share_name,
    taken_up,
    whole,
)
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord
from littoral.node.board import Board
from littoral.node.limits import LimitRows, Used
from littoral.node.signal import Signal

FILE: Final = "shares"
LOOK: Final = Seconds(2.0)
"""How often a limit is told of that may soon refuse."""
TELL: Final = Seconds(60.0)
"""How often the others are, where they were used."""
HALF_LIFE: Final = 30.0
"""Seconds in which demand is half forgotten."""
MANY: Final = 200
"""Slices of one frame."""
_PACKED: Final = msgspec.msgpack.Decoder(dict[str, Slice])


class Sharing:
    """What this node may use of each limit, and has used.

    Args:
        node: This one.
        rows: Where limits are counted.
        disk: Where slices are kept.
        board: Knows when gateways see what is new.
        failpoints: ``shares.written`` stands behind the file of slices.
    """

    def __init__(
        self,
        node: NodeId,
        rows: LimitRows,
        *,
        disk: Disk,
        board: Board,
        failpoints: Failpoints,
    ) -> None:
        self._node = node
        self._rows = rows
        self._disk = disk
        self._board = board
        self._failpoints = failpoints
        self._clock = rows.clock
        self._pace = 1.0
        self._slices: dict[str, Slice] = {}
        self._alone = True
        self._limits: Mapping[str, Limits] = {}
        self._asked: Counter[str] = Counter()
        self._demand: dict[str, tuple[float, float]] = {}
        self._denied: dict[str, int] = {}
        self._told: dict[str, tuple[Draw, float]] = {}
        self._number = 0
        self._waiting: deque[Shares] = deque()
        self._came = Signal()
        rows.slice_of = self.slice_of

    def load(self) -> None:
        """Begin with the slices on disk; a file that cannot be read holds none."""
        try:
            self._slices = _PACKED.decode(self._disk.read(FILE) or b"\x80")
        except msgspec.MsgspecError:
            self._board.say(
                "limits",
                "shares_damaged",
                "the file of this node's shares cannot be read: what is limited waits for control",
                level="error",
            )

    def swapped(self, snapshot: Snapshot) -> None:
        """Know the limits, and whether there are other nodes at all."""
        self._alone = not snapshot.neighbours.keys() - {self._node}
        self._limits = {share_name(name, each): each for name, each in snapshot.limits.items()}

    def allot(self, snapshot: Snapshot) -> Mapping[str, int]:
        """Return the row of each limit; say so where there are too many."""
        rows = self._rows.allot(snapshot.limits)
        missing = len(snapshot.limits) - len(rows)
        if missing:
            self._board.say(
                "limits",
                "limits_full",
                f"{missing} limits cannot be counted: who has one of them is refused; this node "
                f"counts {ROWS}",
                level="error",
            )
        return rows

    def slice_of(self, name: str, limits: Limits) -> Slice:
        """This node's slice; all of it where there is no other node and nobody said otherwise."""
        found = self._slices.get(name)
        if found is None:
            return whole(limits) if self._alone else NOTHING
        return found

    def booked(self, records: Iterable[UsageRecord]) -> None:
        """Count requests that ended as demand."""
        for record in records:
            self._asked.update(limit_ids(record.key, record.project, record.model))

    def take(self, frame: Frame) -> bool:
        """Take a frame of slices; False where it is another one."""
        if not isinstance(frame, Shares):
            return False
        self._waiting.append(frame)
        self._came.notify()
        return True

    async def run(self, channel: Channel, *, pace: float = 1.0) -> None:
        """Say what is held, then take what comes and say what changes, for one session.

        Args:
            channel: To control.
            pace: Stretches the times above.
        """
        self._number, self._came, self._pace = 0, Signal(), pace
        self._waiting.clear()
        for frame in self._all():
            await channel.send(frame)
        while True:
            if not self._waiting:
                await self._came.wait(at_most_s=LOOK * self._pace)
            while self._waiting:
                frame = self._waiting.popleft()
                if await self._apply(frame):
                    await channel.send(self._drawn(frame.slices))
            await self._free()
            news = self._news()
            for at in range(0, len(news), MANY):
                await channel.send(self._drawn(news[at : at + MANY]))

    async def _free(self) -> None:
        """Give rows of limits that are gone to others, once no gateway can still count there."""
        leaving = self._rows.leaving()
        if leaving:
            await self._board.fences.passed()
            self._rows.release(leaving)

    # what is held

    async def _apply(self, frame: Shares) -> bool:
        """Hold other slices; False where they could not be written down."""
        if not self._keep(frame.slices):
            return False
        self._rows.rebound(frame.slices)
        await self._board.fences.passed()
        settled = {name: self._settled(name) for name in frame.slices}
        if settled != frame.slices and not self._keep(settled):
            return False
        self._slices = {name: each for name, each in self._slices.items() if not each.empty}
        self._rows.rebound(frame.slices)
        self._number = frame.number
        return True

    def _keep(self, slices: Mapping[str, Slice]) -> bool:
        kept = {**self._slices, **slices}
        try:
            self._disk.write(FILE, msgspec.msgpack.encode(kept))
        except StorageFull as error:
            self._board.say_error("limits", error)
            return False
        self._failpoints.hit("shares.written")
        self._slices = kept
        return True

    def _settled(self, name: str) -> Slice:
        """A slice as it is held in the present period, by what is used of it already."""
        used, given = self._rows.used(name), self._slices.get(name, NOTHING)
        return taken_up(given, since=used.since, taken=used.money, under_way=used.under_way)

    # what is said

    def _all(self) -> Iterator[Drawn]:
        """Everything that is held, as a session begins with it."""
        names = sorted({*self._slices, *self._limits})
        starts = range(0, max(1, len(names)), MANY)
        for at in starts:
            yield Drawn(
                number=0,
                draws={name: self._draw(name) for name in names[at : at + MANY]},
                begins=at == 0,
                complete=at == starts[-1],
            )

    def _drawn(self, names: Iterable[str]) -> Drawn:
        return Drawn(number=self._number, draws={name: self._draw(name) for name in names})

    def _draw(self, name: str) -> Draw:
        """What is to be said of a limit now; it counts as said."""
        draw = self._seen(name)
        self._denied[name] = self._rows.used(name).denied
        self._told[name] = draw, self._clock.now()
        return draw

    def _seen(self, name: str) -> Draw:
        used, held = self._rows.used(name), self._held(name)
        denied = max(0, used.denied - self._denied.get(name, used.denied))
        total = whole(self._limits[name]) if name in self._limits else NOTHING
        return Draw(
            held=held,
            taken=used.money,
            demand=round(self._demand_of(name, denied), 2),
            want=used.want if denied else 0,
            tight=bool(denied) or _is_tight(used, held, total),
        )

    def _held(self, name: str) -> Slice:
        """What control may count on: by the present period, and by what is used."""
        limits = self._limits.get(name)
        if name not in self._slices and self._alone and limits is not None:
            return whole(limits, self._rows.used(name).since)
        return self._settled(name)

    def _demand_of(self, name: str, denied: int) -> float:
        """Requests of late, older ones counting less."""
        limit, now = name.partition("|")[0], self._clock.now()
        before, at = self._demand.get(name, (0.0, now))
        came = self._asked.pop(limit, 0) + denied
        demand = before * math.pow(0.5, (now - at) / HALF_LIFE) + came
        self._demand[name] = demand, now
        return demand

    def _news(self) -> list[str]:
        """Limits of which there is something to say now."""
        return [name for name in self._limits if self._is_news(name)]

    def _is_news(self, name: str) -> bool:
        used = self._rows.used(name)
        if name not in self._told or used.denied != self._denied.get(name, used.denied):
            return True
        told, at = self._told[name]
        if used.money == told.taken and not self._asked[name.partition("|")[0]]:
            return False
        late = self._clock.now() - at >= TELL * self._pace
        return late or (not told.tight and _is_tight(used, told.held, whole(self._limits[name])))


def _is_tight(used: Used, held: Slice, total: Slice) -> bool:
    """Whether three quarters of a share are used that is not the whole."""
    if held.rate >= WHOLE and held.amount >= total.amount and held.open >= total.open:
        return False
    money = total.amount > 0 and used.money * 4 >= max(1, held.money_in(used.since) * 3)
    return money or (total.open > 0 and used.under_way >= max(1, held.open))
