"""``littoral nodes``: what operators decide of nodes."""

from collections.abc import Callable

from littoral.app.command.confirm import confirm
from littoral.app.command.encoding import plain
from littoral.app.command.nodes import labels_of
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.command.waiting import Patience
from littoral.client.admin import Admin
from littoral.domain.errors import DeadlinePassed
from littoral.domain.node import Node
from littoral.domain.units import Seconds
from littoral.domain.upkeep import Verb


def drain(name: str, /, *, timeout: float = 0.0, reach: Reach = HERE) -> None:
    """Send a node nothing new from other nodes, and place nothing new on it; its own go on.

    Args:
        name: Its name or id.
        timeout: Wait for so many seconds until no request is under way there.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        node = control.mark(name, "draining")
        shown.note("nodes.draining", name=node.name)
        if timeout:
            _await_idle(control, node, Seconds(timeout))
            shown.note("nodes.drained", name=node.name)
    shown.json(plain(node))


def _await_idle(control: Admin, node: Node, timeout_s: Seconds) -> None:
    def idle() -> bool | None:
        return control.errand(node.id, "drain").result == "0" or None

    if Patience().until(idle, timeout_s=timeout_s) is None:
        raise DeadlinePassed(f"requests are still under way on {node.name} after {timeout_s:.0f} s")


def cordon(name: str, /, *, reach: Reach = HERE) -> None:
    """Place nothing new on a node; what runs there goes on.

    Args:
        name: Its name or id.
        reach: Which instance.
    """
    _change(reach, lambda control: control.mark(name, "cordoned"), said="nodes.cordoned")


def uncordon(name: str, /, *, reach: Reach = HERE) -> None:
    """Use a node again that was cordoned or drained.

    Args:
        name: Its name or id.
        reach: Which instance.
    """
    _change(reach, lambda control: control.mark(name, ""), said="nodes.uncordoned")


def label(name: str, /, *labels: str, reach: Reach = HERE) -> None:
    """Give a node labels, by which deployments choose where they run.

    Args:
        name: Its name or id.
        labels: Such as class=small; class= takes that label away.
        reach: Which instance.
    """
    given = labels_of(labels)
    _change(reach, lambda control: control.label(name, given), said="nodes.labelled")


def remove(name: str, /, *, yes: bool = False, reach: Reach = HERE) -> int:
    """Forget a node that is not connected; its certificate is refused from now on.

    Args:
        name: Its name or id.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    if not confirm(shown, shown.say("confirm.node", name=name), yes=yes):
        return 1
    _change(reach, lambda control: control.remove_node(name), said="nodes.removed")
    return 0


def revoke(name: str, /, *, yes: bool = False, reach: Reach = HERE) -> int:
    """Let a node speak to control never again: its session ends within a second.

    Args:
        name: Its name or id.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    if not confirm(shown, shown.say("confirm.revoke", name=name), yes=yes):
        return 1
    _change(reach, lambda control: control.revoke_node(name), said="nodes.revoked")
    return 0


def do(name: str, verb: Verb, /, *args: str, reach: Reach = HERE) -> int:
    """Have a connected node do one of a few things, and show what came of it.

    Args:
        name: Its name or id.
        verb: probe, log_tail, verify_artefacts, restart_engine, rollback, undo_update,
            drain, cordon.
        args: What it needs, such as role=gateway lines=50, or deployment=small.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    given = labels_of(args)
    with admin(reach) as control:
        done = control.errand(name, verb, **given)
    shown.json(plain(done))
    shown.line(done.result)
    return 0 if done.ok else 1


def _change(reach: Reach, change: Callable[[Admin], Node], *, said: str) -> None:
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        node = change(control)
    shown.note(said, name=node.name)
    shown.json(plain(node))
