"""Events: what control has to tell, and what nodes told it, in one order of arrival."""

from collections import deque
from collections.abc import Sequence

from littoral.domain.ids import NodeId
from littoral.domain.news import NumberedEvent, Wanted
from littoral.domain.node import Event
from littoral.domain.outbox import Rollup
from littoral.domain.ports import Inbox

MOST_WAITING = 10_000
"""Events that wait to be written down; of more the oldest are lost."""


class Events:
    """The events of control and its nodes; also a ``Sink`` for control's own.

    Args:
        inbox: Where they are kept.

    Attributes:
        number: Of the events of control's own that were taken since the start.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._waiting: deque[Event] = deque(maxlen=MOST_WAITING)
        self.number = 0

    def emit(self, event: Event) -> None:
        """Take one event; ``flush`` writes it down."""
        self.number += 1
        self._waiting.append(event)

    def after(self, number: int) -> Sequence[NumberedEvent]:
        """The last events with a number above ``number``, oldest first, with those just taken."""
        self.flush()
        return self.wanted(Wanted(after=number))

    def wanted(self, wanted: Wanted) -> Sequence[NumberedEvent]:
        """The last events that were asked for and are written down, oldest first."""
        return self._inbox.events(wanted)

    def rollups(
        self, node: NodeId, *, limit: int, since_us: int, until_us: int
    ) -> Sequence[Rollup]:
        """The last measurements of a node in a range of time, oldest first."""
        return self._inbox.rollups(node, limit=limit, since_us=since_us, until_us=until_us)

    def flush(self) -> None:
        """Write down what came since the last time; nothing where nothing did.

        Two of these may not overlap: they would write the same events.
        """
        taken = list(self._waiting)
        if taken:
            self._inbox.take(taken)
        for event in taken:
            if self._waiting and self._waiting[0] is event:  # else newer ones pushed it out
                self._waiting.popleft()
