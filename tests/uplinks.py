"""The far end of a node's session, played: control as a node sees it."""

from collections.abc import Sequence

from littoral.app.codec import pack
from littoral.domain.node import NodeStatus
from littoral.domain.outbox import Batch, Mark, judge
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import (
    Beat,
    Frame,
    Goodbye,
    Hello,
    PartsWanted,
    Records,
    Stored,
    Welcome,
)
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.testing.snapshot import Issuer


class Control:
    """The other end: applies rows once, in order, and can misbehave."""

    def __init__(self) -> None:
        self.hellos: list[Hello] = []
        self.frames: list[Frame] = []
        self.applied: list[str] = []
        self.batches: list[int] = []
        self.marks: dict[str, Mark] = {}
        self.issuer = Issuer(pack)
        self.offers: Sequence[Snapshot] = ()
        self.ignores = 0
        self.dies_after: int | None = None
        self.goodbye: Goodbye | None = None

    async def serve(self, channel: Channel) -> None:
        hello = await channel.receive()
        assert isinstance(hello, Hello)
        self.hellos.append(hello)
        await channel.send(
            Welcome(
                protocol=1,
                server_us=Micros(1_800_000_000_000_000),
                beat_s=Seconds(5.0),
                stored={"ledger": self.marks.get(hello.outbox, Mark())},
            )
        )
        for snapshot in self.offers:
            await channel.send(self.issuer.offer(snapshot))
        if self.goodbye is not None:
            await channel.send(self.goodbye)
        try:
            while True:
                await self.take(await channel.receive(), channel)
        except ChannelClosed:
            return

    async def take(self, frame: Frame, channel: Channel) -> None:
        self.frames.append(frame)
        if isinstance(frame, PartsWanted):
            for piece in self.issuer.pieces(frame):
                await channel.send(piece)
        if isinstance(frame, Records):
            if self.ignores:
                self.ignores -= 1
                return
            self.apply(frame.outbox, frame.batch)
            if self.dies_after is not None and len(self.batches) >= self.dies_after:
                self.dies_after = None
                raise ChannelClosed("dead between applying and saying so")
            mark = self.marks.get(frame.outbox, Mark())
            await channel.send(Stored(outbox=frame.outbox, lane="ledger", mark=mark))

    def apply(self, outbox: str, batch: Batch) -> None:
        self.batches.append(len(batch.rows))
        judgement, rows = judge(self.marks.get(outbox, Mark()), batch)
        assert judgement in {"applied", "known"}
        self.applied += [row.usage.request for row in rows if row.usage is not None]
        self.marks[outbox] = batch.end

    def status(self) -> NodeStatus:
        """The last one told."""
        return next(beat.status for beat in reversed(self.beats()) if beat.status)

    def beats(self) -> list[Beat]:
        return [frame for frame in self.frames if isinstance(frame, Beat)]
