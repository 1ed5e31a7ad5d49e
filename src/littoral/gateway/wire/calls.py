"""Calls: what this gateway asks of other nodes, over the frames of its link to its own node."""

from collections.abc import Callable
from typing import Protocol

from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.stream import MOST_STREAMS, CallHead


class Called(Protocol):
    """Whoever waits for the answer to a call."""

    def heard(self, frame: Data | Reset | Credit) -> None:
        """A frame of its stream came."""
        ...


class Calls:
    """The streams that this gateway has opened; it gives them odd numbers."""

    def __init__(self) -> None:
        self.send: Callable[[Frame], object] = _nobody
        self._next = 1
        self._open: dict[int, Called] = {}

    def begin(self, called: Called, head: CallHead) -> int:
        """Open a stream; returns its number, 0 where too many are open."""
        if len(self._open) >= MOST_STREAMS:
            return 0
        stream, self._next = self._next, self._next + 2
        self._open[stream] = called
        self.send(Open(stream=stream, head=head))
        return stream

    def take(self, frame: Data | Reset | Credit) -> None:
        """Give a frame to whom it is for; a late one is nobody's."""
        called = self._open.get(frame.stream)
        if called is not None:
            called.heard(frame)

    def end(self, stream: int) -> None:
        """Forget a stream."""
        self._open.pop(stream, None)


def _nobody(frame: Frame) -> None:
    """Before there is a link nothing is sent: no place of another node is known either."""
    del frame
