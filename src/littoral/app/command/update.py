"""``littoral update``: Littoral itself on its nodes, from one version to the next."""

import re
from typing import Annotated

from cyclopts import Parameter

from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.here import ask_here
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin
from littoral.client.updates import Updates
from littoral.domain.errors import InvalidInput
from littoral.domain.release import UpdateAct
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Do
from littoral.domain.view import UpdateView, UpdateWish

LOCAL_S = Seconds(150.0)
"""How long the version before may take to read what the node keeps."""
_SHARE = re.compile(r"(?P<number>[0-9]{1,3}(?:\.[0-9]+)?)%?")


def start(
    version: str,
    /,
    *,
    canary: str = "10%",
    site: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
    minutes: float = 10.0,
    within: float = 180.0,
    reach: Reach = HERE,
) -> None:
    """Take nodes to a release: a few first, the others once these have been healthy for a while.

    Args:
        version: A release.
        canary: Share of the nodes that get it first, such as 10%; at least one does.
        site: Only nodes of this site; may be given several times.
        minutes: How long the first must have been healthy.
        within: Seconds in which a node must prove itself, else it goes back by itself.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wish = UpdateWish(
        version=version,
        canary=_share(canary),
        sites=site,
        minutes=minutes,
        within_s=Seconds(within),
    )
    with admin(reach) as control:
        view = Updates(control).start(wish)
    _show(shown, view)


def _share(text: str) -> float:
    found = _SHARE.fullmatch(text)
    number = float(found["number"]) if found else -1.0
    if not 0 < number <= 100:
        raise InvalidInput(f"--canary is a share of the nodes such as 10%, not {text!r}")
    return number / 100


def status(*, reach: Reach = HERE) -> int:
    """Show how far each node is (exit status 1 where the update is paused).

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        view = Updates(control).last()
    if view is None:
        shown.note("update.none")
        shown.json(None)
        return 0
    _show(shown, view)
    return int(view.state == "paused")


def pause(*, reach: Reach = HERE) -> None:
    """Order no further node; those that are under way go on.

    Args:
        reach: Which instance.
    """
    _act("pause", reach)


def resume(*, reach: Reach = HERE) -> None:
    """Go on with a paused update; nodes where it failed try once more.

    Args:
        reach: Which instance.
    """
    _act("resume", reach)


def undo(*, local: bool = False, reach: Reach = HERE) -> None:
    """Take every node back to what it ran before; nothing has to be fetched for it.

    Args:
        local: Only the node of this machine, with control or without.
        reach: Which instance.
    """
    if not local:
        _act("undo", reach)
        return
    shown = screen(as_json=reach.json)
    done = ask_here(settings_of(reach), Do(number=1, verb="undo_update"), within_s=LOCAL_S)
    shown.note("update.local", result=done.result)
    shown.json(plain(done))


def _act(act: UpdateAct, reach: Reach) -> None:
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        view = Updates(control).act(act)
    _show(shown, view)


def _show(shown: Screen, view: UpdateView) -> None:
    shown.json(plain(view))
    reached = shown.say("update.everyone" if view.everyone else "update.first")
    since = moment(view.since_us)
    shown.line(f"{view.version}  {view.state}  {reached}  {since}  {view.why}")
    rows = [
        (each.name, each.site, each.runs, "first" if each.first else "", each.phase, each.why)
        for each in view.nodes
    ]
    shown.rows(("NODE", "SITE", "RUNS", "GROUP", "STATE", "WHY"), rows)
