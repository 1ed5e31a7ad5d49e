"""``littoral placement report``: how right predictions were, where requests went, the money."""

import html as markup
from collections.abc import Sequence
from pathlib import Path

from littoral.app.command import recorded
from littoral.app.command.figures import count, money
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.plot import Series, chart
from littoral.domain.usage import UsageRecord
from littoral.placement.account import Ledgered, Saved, endpoints, outlook, saved
from littoral.placement.history import moments

HEAD = ("PLACE", "MODEL", "REQUESTS", "P90 HOLDS", "INTERVAL", "BIAS", "ERROR", "P90/TIME", "COST")
PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>'
    "body{{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}"
    "table{{border-collapse:collapse}}td,th{{padding:.25rem .75rem;text-align:right}}"
    "td:first-child,th:first-child{{text-align:left}}svg{{width:100%;height:auto}}"
    "</style><h1>{title}</h1>{body}</html>"
)


def report(*, limit: int = 5000, html: Path | None = None, reach: Reach = HERE) -> None:
    """Compare predictions with what came, by place; count where requests went and the money.

    Args:
        limit: How many records to take, the latest, 1 to 20,000.
        html: Write a page with plots to this file.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        records = control.requests(recorded.bounded(limit))
        prices, policies = recorded.prices(control), recorded.policies(control)
        tags = recorded.tags(control)
    rows, money_ = endpoints(records), saved(records, prices)
    looked = outlook(list(moments(records, prices, policies, tags=tags)))
    shown.json(
        {
            "places": [_plain(each) for each in rows],
            "saved": {
                "spent": money_.spent,
                "dearest": money_.dearest,
                "share": money_.share,
            },
            "why": looked.why,
            "regret": looked.regret,
        }
    )
    if not rows:
        shown.note("requests.none")
        return
    shown.rows(HEAD, [told(each) for each in rows], right=tuple(range(2, len(HEAD))))
    shown.line()
    shown.line(_spent(money_))
    shown.line(f"regret      {money(looked.regret)} a request beyond the cheapest in time")
    if html is not None:
        html.write_text(page(records, rows, money_), "utf-8")
        shown.line(f"wrote       {html}")


def told(each: Ledgered) -> tuple[str, ...]:
    """A place's line."""
    found = each.accuracy
    if not found.seen:
        return (each.endpoint, each.model, count(each.requests), *["-"] * 5, money(each.cost))
    return (
        each.endpoint,
        each.model,
        count(each.requests),
        f"{found.coverage:.1%}",
        f"{found.coverage_low:.0%}-{found.coverage_high:.0%}",
        f"{found.bias:+.1%}",
        f"{found.mdape:.0%}",
        f"{found.sharpness:.2f}",
        money(each.cost),
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


def page(records: Sequence[UsageRecord], rows: Sequence[Ledgered], found: Saved) -> str:
    """The report as one file: a table, and plots of predictions, coverage and shares."""
    head = "".join(f"<th>{markup.escape(each)}</th>" for each in HEAD)
    lines = "".join(
        "<tr>" + "".join(f"<td>{markup.escape(cell)}</td>" for cell in told(each)) + "</tr>"
        for each in rows
    )
    began = min(each.at_us for each in records)
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
