"""``littoral placement``: how right predictions were, where requests went, and the money."""

import html as markup
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from csv import writer
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Final, cast

from littoral.app.command import recorded
from littoral.app.command.figures import count, moment, money, span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.recorded import WEEK, Look, Sent
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.plot import Series, chart
from littoral.app.system import SystemClock
from littoral.domain.decided import why_of
from littoral.domain.ids import NodeId
from littoral.domain.prior import WORST, PredictorView, State
from littoral.domain.usage import UsageRecord
from littoral.placement.account import Ledgered, Outlook, Saved, endpoints, outlook, saved
from littoral.placement.history import moments

HEAD = (
    "PLACE",
    "MODEL",
    "REQUESTS",
    "P90 HOLDS",
    "INTERVAL",
    "BIAS",
    "ERROR",
    "P90/TIME",
    "COST",
    "STATE",
)
COLUMNS = ("WHEN", "REQUEST", "MODEL", "PLACE", "IN", "OUT", "P50", "P90", "TOOK", "STATUS", "WHY")
NAMES: Final = tuple(each.name for each in fields(UsageRecord))
REPLAYED: Final = 20_000
"""Records, the latest, that are replayed to say what else might have been chosen."""
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>'
    "body{{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}"
    "table{{border-collapse:collapse}}td,th{{padding:.25rem .75rem;text-align:right}}"
    "td:first-child,th:first-child{{text-align:left}}svg{{width:100%;height:auto}}"
    "</style><h1>{title}</h1>{body}</html>"
)


def report(*, look: Look = WEEK, html: Path | None = None, reach: Reach = HERE) -> None:
    """Compare predictions with what came, by place; count where requests went and the money.

    Args:
        look: Which records.
        html: Write a page with plots to this file.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        records = recorded.kept(control, look, now=SystemClock().wall())
        prices, policies = recorded.prices(control), recorded.policies(control)
        tags = recorded.tags(control)
        states = states_of(control.predictors())
    rows, money_ = endpoints(records), saved(records, prices)
    latest = deque(records, maxlen=REPLAYED)
    looked = outlook(moments(latest, prices, policies, tags=tags))
    shown.json(
        {
            "places": [{**_plain(each), "state": states.get(each.endpoint)} for each in rows],
            "saved": {
                "spent": money_.spent,
                "dearest": money_.dearest,
                "share": money_.share,
            },
            "why": counted(each.why for each in rows),
            "rejected": counted(each.rejected for each in rows),
            "replayed": {"requests": looked.requests, "why": looked.why},
            "regret": looked.regret,
            "unreadable": records.unreadable,
        }
    )
    if records.unreadable:
        shown.note("records.unreadable", count=records.unreadable)
    if not rows:
        shown.note("requests.none")
        return
    table = [told(each, states) for each in rows]
    shown.rows(HEAD, table, right=tuple(range(2, len(HEAD) - 1)))
    shown.line()
    for line in _sums(rows, money_, looked):
        shown.line(line)
    if html is not None:
        html.write_text(page(table, rows, money_), "utf-8")
        shown.line(f"wrote       {html}")


def records(*, look: Look = WEEK, csv: bool = False, limit: int = 100, reach: Reach = HERE) -> None:
    """Show requests as they were predicted and as they were.

    Args:
        look: Which records.
        csv: Write all of them as CSV, with every field.
        limit: Of a table, how many: the latest, 1 to 20,000.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    most = recorded.bounded(limit)
    with admin(reach) as control:
        found = recorded.kept(control, look, now=SystemClock().wall())
        nodes = recorded.names_of(control.nodes())
    if reach.json:
        shown.json(
            {"records": [{"node": each.node, **_fields(each.usage)} for each in found.sent()]}
        )
    elif csv:
        shown.raw(",".join(("node", *NAMES)) + "\n")
        for each in found.sent():
            shown.raw(_line((each.node, *_fields(each.usage).values())))
    else:
        rows = [_cells(each, nodes) for each in deque(found.sent(), maxlen=most)]
        shown.rows(COLUMNS, rows, right=(4, 5, 6, 7, 8))
    if found.unreadable:
        shown.warn(shown.say("records.unreadable", count=found.unreadable))


def _fields(record: UsageRecord) -> dict[str, object]:
    return {name: cast("object", getattr(record, name)) for name in NAMES}


def _line(values: Iterable[object]) -> str:
    line = StringIO()
    writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def _cells(each: Sent, nodes: Mapping[NodeId, str]) -> tuple[str, ...]:
    record = each.usage
    return (
        moment(record.at_us),
        record.request,
        record.model,
        f"{nodes.get(each.node, each.node)}/{record.endpoint}",
        count(record.tokens_in),
        count(record.tokens_out),
        span(record.predicted_us * 1e-6),
        span(record.predicted_p90_us * 1e-6),
        span(record.total_us * 1e-6),
        record.status,
        why_of(record.decided) or "-",
    )


def counted(every: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts, the most frequent first."""
    total: Counter[str] = Counter()
    for each in every:
        total.update(each)
    return dict(total.most_common())


def _sums(rows: Sequence[Ledgered], found: Saved, looked: Outlook) -> Iterator[str]:
    """The lines below the table."""
    for name, counts in (
        ("why", counted(each.why for each in rows)),
        ("rejected", counted(each.rejected for each in rows)),
    ):
        if counts:
            yield f"{name:<12}" + ", ".join(f"{word} {count(n)}" for word, n in counts.items())
    yield _spent(found)
    of = f" (the latest {count(looked.requests)})" if looked.requests == REPLAYED else ""
    yield f"regret      {money(looked.regret)} a request beyond the cheapest in time{of}"


def states_of(predictors: Sequence[PredictorView]) -> Mapping[str, State]:
    """The state of each endpoint's predictor; of several nodes' the worst."""
    found: dict[str, State] = {}
    for each in sorted(predictors, key=lambda view: WORST.index(view.learned.state)):
        found[each.learned.endpoint] = each.learned.state
    return found


def told(each: Ledgered, states: Mapping[str, State]) -> tuple[str, ...]:
    """A place's line."""
    found, state = each.accuracy, states.get(each.endpoint, "-")
    names = (each.endpoint, each.model, count(each.requests))
    if not found.seen:
        return (*names, *["-"] * 5, money(each.cost), state)
    return (
        *names,
        f"{found.coverage:.1%}",
        f"{found.coverage_low:.0%}-{found.coverage_high:.0%}",
        f"{found.bias:+.1%}",
        f"{found.mdape:.0%}",
        f"{found.sharpness:.2f}",
        money(each.cost),
        state,
    )


def _plain(each: Ledgered) -> dict[str, object]:
    return {
        "endpoint": each.endpoint,
        "deployment": each.deployment,
        "model": each.model,
        "requests": each.requests,
        "cost": each.cost,
        "accuracy": _accuracy(each) if each.accuracy.seen else None,
    }


def _accuracy(each: Ledgered) -> dict[str, float]:
    found = each.accuracy
    return {
        "seen": found.seen,
        "coverage_p90": found.coverage,
        "coverage_low": found.coverage_low,
        "coverage_high": found.coverage_high,
        "bias": found.bias,
        "mdape": found.mdape,
        "wape": found.wape,
        "sharpness": found.sharpness,
    }


def _spent(found: Saved) -> str:
    if not found.dearest:
        return f"spent       {money(found.spent)}"
    return (
        f"spent       {money(found.spent)}, {found.share:.0%} of the {money(found.dearest)} "
        "that the dearest places would have taken"
    )


def page(table: Sequence[Sequence[str]], rows: Sequence[Ledgered], found: Saved) -> str:
    """The report as one file: a table, and plots of predictions, coverage and shares."""
    head = "".join(f"<th>{markup.escape(each)}</th>" for each in HEAD)
    lines = "".join(
        "<tr>" + "".join(f"<td>{markup.escape(cell)}</td>" for cell in each) + "</tr>"
        for each in table
    )
    began = min((each.cover[0][0] for each in rows if each.cover), default=0)
    pictures = [
        chart(
            "Predicted and measured, seconds to the last token",
            x="predicted p50, s",
            y="measured, s",
            series=[Series(e.endpoint, [(p.p50, p.actual) for p in e.pairs]) for e in rows],
            log=True,
            equal=True,
        ),
        chart(
            "Share of the last 50 outcomes within their p90",
            x="hours",
            y="share",
            series=[
                Series(
                    e.endpoint, [((at - began) / 3.6e9, share) for at, share in e.cover], line=True
                )
                for e in rows
            ],
        ),
        chart(
            "Requests and their cost, by place",
            x="requests",
            y="cost",
            series=[Series(e.endpoint, [(float(e.requests), e.cost)], label=True) for e in rows],
        ),
    ]
    body = f"<table><tr>{head}</tr>{lines}</table><p>{markup.escape(_spent(found))}</p>"
    return PAGE.format(title="Placement", body=body + "".join(pictures))
