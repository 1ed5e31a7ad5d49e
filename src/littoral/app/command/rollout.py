"""``littoral rollout``: changed deployments on their way to everybody."""

from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.here import ask_here
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.rollout import RolloutAct
from littoral.domain.upkeep import Do


def status(*, reach: Reach = HERE) -> None:
    """Show how far each rollout is, and what was last found.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        views = control.rollouts()
    shown.json({"rollouts": plain(views)})
    if not views:
        shown.note("rollout.none")
        return
    rows = [
        (
            each.deployment,
            each.state,
            each.old,
            each.new,
            f"{each.percent} %",
            moment(each.since_us) if each.since_us else "-",
            str(each.requests),
            str(each.failed),
            f"{each.scored} of {each.golden}" if each.golden else str(each.scored),
            each.why,
        )
        for each in views
    ]
    head = (
        "DEPLOYMENT",
        "STATE",
        "OLD",
        "NEW",
        "SHARE",
        "SINCE",
        "REQUESTS",
        "FAILED",
        "SCORED",
        "WHY",
    )
    shown.rows(head, rows, right=(4, 6, 7, 8))


def pause(name: str, /, *, reach: Reach = HERE) -> None:
    """Leave a rollout where it is.

    Args:
        name: The deployment.
        reach: Which instance.
    """
    _act(name, "pause", reach)


def resume(name: str, /, *, reach: Reach = HERE) -> None:
    """Let a paused rollout go on.

    Args:
        name: The deployment.
        reach: Which instance.
    """
    _act(name, "resume", reach)


def undo(name: str, /, *, local: bool = False, reach: Reach = HERE) -> None:
    """Give every request to the old version again; nothing has to be fetched for it.

    Args:
        name: The deployment.
        local: Only on the node of this machine, with control or without: what served before serves.
        reach: Which instance.
    """
    if not local:
        _act(name, "undo", reach)
        return
    shown = screen(as_json=reach.json)
    done = ask_here(settings_of(reach), Do(number=1, verb="rollback", args={"deployment": name}))
    shown.note("rollout.local", result=done.result)
    shown.json(plain(done))


def promote(name: str, /, *, reach: Reach = HERE) -> None:
    """Give every request to the new version now, whatever was found of it.

    Args:
        name: The deployment.
        reach: Which instance.
    """
    _act(name, "promote", reach)


def _act(name: str, act: RolloutAct, reach: Reach) -> None:
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        view = control.rollout(name, act)
    shown.note("rollout.done", name=name, state=view.state, percent=view.percent)
    shown.json(plain(view))
