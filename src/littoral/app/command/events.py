"""``littoral events``: what happened lately."""

from dataclasses import dataclass
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


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Only:
    """Which events are shown.

    Args:
        node: Only those of this node, by its name or id.
        site: Only those of the nodes of this site.
        code: Only this code, or those that begin with it where it ends with a dot.
        level: Only this level: info, warning, error.
    """

    node: str | None = None
    site: str | None = None
    code: str | None = None
    level: str | None = None

    def query(self) -> dict[str, str | None]:
        """As the admin API takes it."""
        return {"node": self.node, "site": self.site, "code": self.code, "level": self.level}


ALL = Only()


def events(
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 50,
    only: Only = ALL,
    reach: Reach = HERE,
) -> None:
    """Show the last events.

    Args:
        follow: Go on showing new ones, until Ctrl-C.
        lines: How many.
        only: Which of them.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = control.events(only=only.query())
        shown.json({"events": plain(found[-lines:])})
        if not found:
            shown.note("events.none")
        for each in found[-lines:]:
            shown.line(told(each))
        last = found[-1].number if found else 0
        while follow and not reach.json:
            pause(FOLLOW_S)
            for each in control.events(after=last, only=only.query()):
                shown.line(told(each))
                last = each.number


def told(numbered: NumberedEvent) -> str:
    """One event in a line."""
    event = numbered.event
    times = f" x{event.count}" if event.count > 1 else ""
    where = f"{numbered.node} " if numbered.node else ""
    text = f"{where}{event.subject}: {event.message} ({event.code}{times})"
    return f"{moment(event.at_us)}  {event.level:<8}{clean(text)}"
