"""Overheard: events of parts that run on threads of their own, until the journal takes them."""

from collections import deque
from collections.abc import Sequence

from littoral.domain.node import Event
from littoral.domain.ports import Sink

MOST = 1000
"""Events that wait; of more the oldest are lost, and stay in the log."""


class Overheard:
    """A ``Sink`` that may be told from any thread, and remembers.

    Args:
        sink: Is told at once, too; None: nobody else is.
    """

    def __init__(self, sink: Sink | None = None) -> None:
        self._sink = sink
        self._events: deque[Event] = deque(maxlen=MOST)

    def emit(self, event: Event) -> None:
        """Take one event."""
        if self._sink is not None:
            self._sink.emit(event)
        self._events.append(event)

    def take(self) -> Sequence[Event]:
        """The events since the last call, oldest first."""
        return [self._events.popleft() for _ in range(len(self._events))]
