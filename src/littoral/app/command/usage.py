"""``littoral usage``: requests, tokens and cost, summed up."""

from collections.abc import Sequence

from littoral.app.command import parsing
from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, money
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin
from littoral.app.system import SystemClock
from littoral.domain.errors import InvalidInput
from littoral.domain.usage import UsageSum

GROUPS = ("project", "key", "model", "day", "node", "tag")


def usage(
    *,
    by: str = "model,day",
    since: str | None = None,
    until: str | None = None,
    reach: Reach = HERE,
) -> None:
    """Sum up usage records.

    Args:
        by: What to group by, with commas: project, key, model, day, node, tag.
        since: From when: 7d (that long ago), a date, or a time.
        until: Until when, likewise.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    groups = grouping(by)
    now = SystemClock().wall()
    since_us = None if since is None else parsing.moment(since, now=now, what="--since")
    until_us = None if until is None else parsing.moment(until, now=now, what="--until")
    with admin(reach) as control:
        rows = control.usage(by=groups, since_us=since_us, until_us=until_us)
    total = total_of(rows)
    shown.json({"rows": plain(rows), "total": plain(total)})
    if rows:
        _table(shown, groups, rows=rows, total=total)
    else:
        shown.note("usage.none")


def grouping(text: str) -> tuple[str, ...]:
    """Read what to group by.

    Raises:
        InvalidInput: A name is unknown.
    """
    given = parsing.words(text)
    for word in given:
        if word not in GROUPS:
            raise InvalidInput(f"--by: cannot group by {word!r}; known: {', '.join(GROUPS)}")
    return tuple(dict.fromkeys(given))


def total_of(rows: Sequence[UsageSum]) -> UsageSum:
    """The sum of all rows."""
    return UsageSum(
        requests=sum(row.requests for row in rows),
        tokens_in=sum(row.tokens_in for row in rows),
        tokens_cached=sum(row.tokens_cached for row in rows),
        tokens_out=sum(row.tokens_out for row in rows),
        cost=sum(row.cost for row in rows),
        estimated=sum(row.estimated for row in rows),
    )


def _table(
    shown: Screen, groups: Sequence[str], *, rows: Sequence[UsageSum], total: UsageSum
) -> None:
    head = (*(group.upper() for group in groups), "REQUESTS", "IN", "CACHED", "OUT", "COST")
    body = [(*(_name(row, group) for group in groups), *_figures(row)) for row in rows]
    first = [shown.say("usage.total"), *[""] * len(groups)][: len(groups)]
    right = range(len(groups), len(head))
    shown.rows(head, [*body, (*first, *_figures(total))] if groups else body, right=right)
    if total.estimated:
        shown.note("usage.estimated", count=total.estimated)
    shown.note("usage.shares")


def _name(row: UsageSum, group: str) -> str:
    names = {
        "project": row.project,
        "key": row.key,
        "model": row.model,
        "day": row.day,
        "node": row.node,
    }
    return names[group]


def _figures(row: UsageSum) -> tuple[str, ...]:
    numbers = (row.requests, row.tokens_in, row.tokens_cached, row.tokens_out)
    return (*(count(number) for number in numbers), money(row.cost))
