"""``littoral deferred``: requests that wait at a node for a place, and their answers."""

import sys

from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import target
from littoral.client.deferred import Deferred
from littoral.domain.units import Micros


def list_deferred(*, reach: Reach = HERE) -> None:
    """List what the key's project has deferred at this node, the last one first.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with _client(reach) as client:
        page = client.page()
        views = list(page.data)
        while page.next is not None:
            page = client.page(before=page.next)
            views += page.data
    shown.json({"deferred": plain(views)})
    if not views:
        shown.note("deferred.none")
        return
    rows = [
        (
            each.id,
            each.status,
            each.model,
            _moment(each.created_at),
            _moment(each.ended_at or each.expires_at),
            str(each.attempts),
            each.reason or "",
        )
        for each in views
    ]
    head = ("ID", "STATUS", "MODEL", "SINCE", "UNTIL", "TRIES", "WHY")
    shown.rows(head, rows, right=(5,))


def show(name: str, /, *, reach: Reach = HERE) -> None:
    """Show one of them.

    Args:
        name: Its id.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with _client(reach) as client:
        view = client.show(name)
    shown.json(plain(view))
    shown.line(f"{view.id}  {view.status}  {view.path}  {view.model}  {view.request_id}")
    if view.reason:
        shown.line(f"! {view.reason}")
    ended = f", ended {_moment(view.ended_at)}" if view.ended_at is not None else ""
    since, until = _moment(view.created_at), _moment(view.expires_at)
    kept = _moment(view.kept_until)
    shown.line(f"accepted {since}, to be answered by {until}{ended}, kept until {kept}")


def result(name: str, /, *, reach: Reach = HERE) -> None:
    """Write the answer of one to standard output, as it would have come.

    Args:
        name: Its id.
        reach: Which instance.
    """
    with _client(reach) as client:
        answer = client.result(name)
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


def cancel(name: str, /, *, reach: Reach = HERE) -> None:
    """Cancel one that has not ended.

    Args:
        name: Its id.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with _client(reach) as client:
        view = client.cancel(name)
    shown.json(plain(view))
    shown.note("deferred.is", name=view.id, status=view.status)


def _client(reach: Reach) -> Deferred:
    found = target(reach)
    return Deferred(found.url, found.key, trusted=found.trusted)


def _moment(at_s: int) -> str:
    return moment(Micros(at_s * 1_000_000))
