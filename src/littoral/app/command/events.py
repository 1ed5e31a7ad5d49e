"""``littoral events``: what happened lately."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from cyclopts import Parameter

from littoral.app.command.encoding import plain, recorded
from littoral.app.command.figures import moment
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin
from littoral.app.command.table import clean
from littoral.app.command.waiting import pause
from littoral.app.settings import Settings
from littoral.app.supervisor import is_joined
from littoral.domain.enrolment import DIARY
from littoral.domain.errors import InvalidInput, Unavailable, UpstreamFailed
from littoral.domain.news import NumberedEvent
from littoral.domain.node import Event
from littoral.domain.units import Seconds

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

    def takes(self, event: Event) -> bool:
        """Whether an event of this machine is one of them."""
        code = self.code or ""
        of_code = event.code.startswith(code) if code.endswith(".") else event.code == code
        return (not code or of_code) and self.level in {None, event.level}


ALL = Only()


def events(
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 50,
    only: Only = ALL,
    local: bool = False,
    reach: Reach = HERE,
) -> None:
    """Show the last events: the cluster's, and where control is out of reach this node's own.

    Args:
        follow: Go on showing new ones, until Ctrl-C.
        lines: How many.
        only: Which of them.
        local: Only what the node on this machine wrote down itself, without asking control.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = None if reach.url is not None else settings_of(reach)
    if settings is not None and (local or is_joined(settings)):
        why = "" if local else _cluster(shown, reach, only=only, lines=lines, follow=follow)
        if why is not None:
            shown.note("events.local", why=why or shown.say("events.asked"))
            _show(shown, partial(kept, settings, only), lines=lines, follow=follow, local=True)
        return
    if local:
        raise InvalidInput("--local shows what is on this machine: it goes without --url")
    with admin(reach) as control:
        read = partial(control.events, only=only.query())
        _show(shown, lambda after: read(after=after), lines=lines, follow=follow)


def _cluster(shown: Screen, reach: Reach, *, only: Only, lines: int, follow: bool) -> str | None:
    """Show the cluster's events; why there are none to be had, where control is out of reach."""
    try:
        with admin(reach) as control:
            read = partial(control.events, only=only.query())
            _show(shown, lambda after: read(after=after), lines=lines, follow=follow)
    except (Unavailable, UpstreamFailed) as error:
        return error.message
    except InvalidInput as error:
        if reach.key is not None:
            raise
        return error.message
    return None


def _show(
    shown: Screen,
    read: Callable[[int], Sequence[NumberedEvent]],
    *,
    lines: int,
    follow: bool,
    local: bool = False,
) -> None:
    """Show the last events that ``read`` gives, and go on with those after a number."""
    found = read(0)
    shown.json({"events": plain(found[-lines:]), "local": local})
    if not found:
        shown.note("events.none")
    for each in found[-lines:]:
        shown.line(told(each))
    last = found[-1].number if found else 0
    while follow and not shown.as_json:
        pause(FOLLOW_S)
        for each in read(last):
            shown.line(told(each))
            last = each.number


def kept(settings: Settings, only: Only, after: int) -> Sequence[NumberedEvent]:
    """What the node in a data folder wrote down itself, as far as it was asked for.

    Numbers are times: they rise, and are known again at the next look.
    """
    try:
        events = recorded(settings.path(DIARY).read_bytes(), Event)
    except OSError:
        return []
    return [
        NumberedEvent(number=event.at_us, event=event)
        for event in events
        if event.at_us > after and only.takes(event)
    ]


def told(numbered: NumberedEvent) -> str:
    """One event in a line."""
    event = numbered.event
    times = f" x{event.count}" if event.count > 1 else ""
    where = f"{numbered.node} " if numbered.node else ""
    text = f"{where}{event.subject}: {event.message} ({event.code}{times})"
    return f"{moment(event.at_us)}  {event.level:<8}{clean(text)}"
