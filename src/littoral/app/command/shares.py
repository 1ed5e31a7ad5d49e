"""``littoral shares``: what each node may use of each limit without asking anybody."""

from collections.abc import Sequence

from littoral.app.command.encoding import plain
from littoral.app.command.figures import money
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin
from littoral.domain.view import ShareView


def shares(*, node: str | None = None, limit: str | None = None, reach: Reach = HERE) -> None:
    """Show how limits and budgets are divided among nodes.

    Args:
        node: Only this node, by its id.
        limit: Only this limit, such as project:team-a.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = control.shares(node=node, limit=limit)
    shown.json({"shares": plain(found)})
    if found:
        table(shown, found)
    else:
        shown.note("shares.none")


def table(shown: Screen, found: Sequence[ShareView]) -> None:
    """Show shares in a table."""
    head = ("LIMIT", "NODE", "BUDGET", "TAKEN", "SHARE", "NEXT", "RATE", "CONCURRENT", "STATE")
    shown.rows(head, [_row(each) for each in found], right=(2, 3, 4, 5, 6, 7))


def _row(each: ShareView) -> tuple[str, ...]:
    state = "connected" if each.connected else "away"
    if each.waiting:
        state += ", waiting"
    if each.doubtful:
        state += ", in doubt"
    if each.beyond:
        state += ", claims more"
    figures = ("-", "-", "-", "-")
    if each.period is not None:
        taken = money(each.taken) if each.connected else "?"
        figures = (
            f"{each.cap:g}/{each.period}",
            taken,
            money(each.money),
            money(each.standing),
        )
    return each.limit, each.node, *figures, f"{each.rate:.1%}", str(each.concurrent), state
