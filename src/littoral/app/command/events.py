"""``littoral events``: what happened lately."""

from typing import Annotated

from cyclopts import Parameter

from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.command.table import clean
from littoral.app.command.waiting import pause
from littoral.domain.units import Seconds
from littoral.domain.view import NumberedEvent

FOLLOW_S = Seconds(1.0)


def events(
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 50,
    reach: Reach = HERE,
) -> None:
    """Show the last events.

    Args:
        follow: Go on showing new ones, until Ctrl-C.
        lines: How many.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = control.events()
        shown.json({"events": plain(found[-lines:])})
        if not found:
            shown.note("events.none")
        for each in found[-lines:]:
            shown.line(told(each))
        last = found[-1].number if found else 0
        while follow and not reach.json:
            pause(FOLLOW_S)
            for each in control.events(after=last):
                shown.line(told(each))
                last = each.number


def told(numbered: NumberedEvent) -> str:
    """One event in a line."""
    event = numbered.event
    text = f"{event.subject}: {event.message} ({event.code})"
    return f"{moment(event.at_us)}  {event.level:<8}{clean(text)}"
