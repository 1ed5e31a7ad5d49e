"""News: events as control has numbered them, and which of them are wanted."""

from dataclasses import dataclass

from littoral.domain.node import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedEvent:
    """An event and its number in the order of arrival; numbers only rise.

    ``node`` is where it happened, empty for control itself.
    """

    number: int
    event: Event
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events to show: the last ``limit`` with a number above ``after``.

    ``nodes`` None is all of them and control, ``""`` among them is control; ``code`` and ``level``
    empty are all, and a code that ends with a dot is all that begin with it.
    """

    after: int = 0
    limit: int = 500
    nodes: tuple[str, ...] | None = None
    code: str = ""
    level: str = ""
