"""Pieces of blobs: an answer is kept for as long as somebody waits for it."""

import sys

from anyio import lowlevel

from littoral.domain.ids import Digest
from littoral.domain.neighbour import PieceAnswer, PieceAsk
from littoral.node.pieces import Asking
from littoral.testing.loop import simulate

ASK = PieceAsk(number=0, digest=Digest("sha256:" + "0" * 64), begin=0, size=9)


class Line:
    """A channel's sending end."""

    def __init__(self) -> None:
        self.sent: list[PieceAsk] = []

    async def send(self, frame: PieceAsk) -> None:
        await lowlevel.checkpoint()
        self.sent.append(frame)


def test_the_answer_to_an_ask_that_nobody_waits_for_any_more_is_not_kept() -> None:
    async def main() -> None:
        asking, line = Asking(), Line()
        wanted, given_up = await asking.ask(line, ASK), await asking.ask(line, ASK)
        del given_up
        data = bytes(range(99))
        held = sys.getrefcount(data)
        for ask in reversed(line.sent):
            asking.heard(PieceAnswer(number=ask.number, status=206, data=data))
        assert sys.getrefcount(data) == held + 1
        assert (await wanted()).data == data

    simulate(main)
