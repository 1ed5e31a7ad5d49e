"""Taking: answers what control offers, one frame after the other, beside everything else."""

from collections import deque

import anyio

from littoral.domain.ports import Channel
from littoral.domain.session import Applied, Frame, PartPiece, SnapshotOffer
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.signal import Signal
from littoral.node.snapshot import HeldSnapshot

PARTS_WITHIN = Seconds(60.0)
"""Where no more of an offered snapshot came for so long, control is to offer it again."""
SERVED_WITHIN = Seconds(1.0)
"""A gateway that does not serve from a new snapshot by then is not waited for."""


class Taking:
    """Offers of one session, and the parts that come with them; of several offers the last counts.

    Args:
        held: What this node holds.
        board: Knows what the gateways serve from.
    """

    def __init__(self, held: HeldSnapshot, board: Board) -> None:
        self._held = held
        self._board = board
        self._frames: deque[SnapshotOffer | PartPiece] = deque()
        self._came = Signal()

    def take(self, frame: SnapshotOffer | PartPiece) -> None:
        """Note a frame; ``run`` answers it."""
        if isinstance(frame, SnapshotOffer):
            self._frames = deque(each for each in self._frames if isinstance(each, PartPiece))
        self._frames.append(frame)
        self._came.notify()

    async def run(self, channel: Channel) -> None:
        """Answer until cancelled; that a snapshot is applied is said when gateways serve it."""
        while True:
            if self._frames:
                answer = self._answer(self._frames.popleft())
            elif await self._came.wait(at_most_s=PARTS_WITHIN if self._held.gathers else None):
                continue
            else:
                answer = self._held.stalled()
            if isinstance(answer, Applied):
                self._say(answer)
            if isinstance(answer, Applied) and answer.ok:
                with anyio.move_on_after(SERVED_WITHIN):
                    await self._board.all_serve((answer.epoch, answer.version))
            if answer is not None:
                await channel.send(answer)

    def _say(self, answer: Applied) -> None:
        """Tell people here, too, why what control offers is not served."""
        what = "is served in part" if answer.ok else "is not served"
        sentence = f"control's snapshot {what}: {answer.reason}" if answer.reason else ""
        if self._board.put_trouble("refused", sentence) and sentence:
            code = "snapshot_partial" if answer.ok else "snapshot_refused"
            self._board.say("snapshot", code, sentence, level="error")

    def _answer(self, frame: SnapshotOffer | PartPiece) -> Frame | None:
        if isinstance(frame, SnapshotOffer):
            return self._held.offer(frame.manifest)
        return self._held.piece(frame)
