"""A sink that keeps what it is given."""

from littoral.domain.node import Event


class ListSink:
    """Twin of ``Sink``: every event, in order, in ``events``."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        """Take one event."""
        self.events.append(event)

    def codes(self) -> list[str]:
        """The codes of the events so far."""
        return [event.code for event in self.events]
