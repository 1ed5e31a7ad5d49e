"""Events: the last few hundred things people should know, kept over restarts."""

from collections import deque
from collections.abc import Sequence

import msgspec

from littoral.domain.node import Event
from littoral.domain.ports import State
from littoral.domain.view import NumberedEvent

MOST_EVENTS = 500
_PLACE = "control/events"


class Events:
    """A bounded ring of events; also a ``Sink``. Written down by ``flush``, not by ``emit``.

    Args:
        state: Where the last ones are kept.

    Attributes:
        number: Of the newest event.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        kept = state.value(_PLACE)
        events = msgspec.json.decode(kept, type=list[NumberedEvent]) if kept else []
        self._ring: deque[NumberedEvent] = deque(events, maxlen=MOST_EVENTS)
        self.number = events[-1].number if events else 0
        self._flushed = self.number

    def emit(self, event: Event) -> None:
        """Take one event."""
        self.number += 1
        self._ring.append(NumberedEvent(number=self.number, event=event))

    def after(self, number: int) -> Sequence[NumberedEvent]:
        """The events kept with a number above ``number``, oldest first."""
        return [item for item in self._ring if item.number > number]

    def flush(self) -> None:
        """Write down what came since the last time; nothing where nothing did."""
        if self._flushed == self.number:
            return
        upto = self.number
        self._state.put_value(_PLACE, msgspec.json.encode(list(self._ring)))
        self._flushed = upto
