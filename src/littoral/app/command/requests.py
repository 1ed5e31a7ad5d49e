"""``littoral requests show``: one request, its attempts, and why it ran where it did."""

from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, moment, money, span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.usage import UsageRecord


def show(request: str, /, *, reach: Reach = HERE) -> int:
    """Show every attempt of one request.

    Args:
        request: Its id, from the answer's x-request-id header.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        records = control.request(request)
    shown.json({"records": plain(records)})
    if not records:
        shown.note("requests.none")
        return 1
    for record in records:
        for label, value in facts(record):
            shown.line(f"{label:<12}{value}")
        shown.line()
    return 0


def facts(record: UsageRecord) -> list[tuple[str, str]]:
    """A record's lines: what, where, how long against the prediction, how much."""
    how = ["streamed" if record.streamed else "whole"]
    if record.estimated:
        how.append("token counts estimated")
    predicted = record.predicted_us / 1e6
    measured = record.total_us / 1e6
    ratio = f", {measured / predicted:.2f} of it" if predicted else ""
    tokens = (
        f"{count(record.tokens_in)} in ({count(record.tokens_cached)} cached), "
        f"{count(record.tokens_out)} out"
    )
    return [
        ("request", f"{record.request}  attempt {record.attempt}"),
        ("status", f"{record.status} ({', '.join(how)})"),
        ("when", moment(record.at_us)),
        ("model", record.model),
        ("ran at", f"{record.endpoint} of deployment {record.deployment}"),
        ("key", f"{record.key} of project {record.project}"),
        ("tag", record.tag or "none"),
        ("predicted", f"{span(predicted)} (9 of 10 within {span(record.predicted_p90_us / 1e6)})"),
        ("measured", f"{span(measured)}{ratio}; first token after {span(record.first_us / 1e6)}"),
        ("tokens", tokens),
        ("cost", money(record.cost)),
    ]
