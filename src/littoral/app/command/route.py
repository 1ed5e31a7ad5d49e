"""``littoral route``: why a request ran where it did, and where a policy would send what came."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from cyclopts import Parameter

from littoral.app.command import documents, recorded
from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, moment, money, span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import admin
from littoral.domain.errors import InvalidInput
from littoral.domain.policy import Policy, PolicySpec
from littoral.domain.usage import CACHE, UsageRecord
from littoral.placement.account import REFUSED, Outlook, outlook
from littoral.placement.history import Moment, Option, moments

File = Annotated[str, Parameter(name=["--file", "-f"])]
WARM = 20
"""Requests at the beginning of the records that only teach."""


def explain(request: str, /, *, limit: int = 5000, reach: Reach = HERE) -> int:
    """Say which places might have served a request, what was known of each, and what happened.

    Places are predicted anew from the records before it, under the policies of today: LEARNED is
    of how many, and with few of them a prediction says little.

    Args:
        request: Its id, from the answer's x-request-id header.
        limit: How many records before it to learn from, 1 to 20,000.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        found = control.request(request)
        last = max(each.at_us for each in found)
        before = control.requests(recorded.bounded(limit), until_us=last + 1)
        prices, policies = recorded.prices(control), recorded.policies(control)
        tags = recorded.tags(control)
    known = {(each.request, each.attempt): each for each in [*before, *found]}
    replayed = moments(known.values(), prices, policies, tags=tags)
    told = [each for each in replayed if each.record.request == request]
    shown.json({"records": plain(found), "moments": [plain(each) for each in told]})
    for each in told:
        _explain(shown, each)
    for record in found:
        if record.endpoint == CACHE:
            shown.line(f"{record.request} was answered from the cache: no place was chosen")
        elif record.attempt and _is_second(record, found):
            shown.line(
                f"attempt {record.attempt} at {record.endpoint}: another answer was not enough"
            )
        elif record.status != "ok":
            shown.line(f"attempt {record.attempt} at {record.endpoint} ended: {record.status}")
    return 0


def _is_second(record: UsageRecord, found: Sequence[UsageRecord]) -> bool:
    """Whether an answer was there before, so that this one was asked for to replace it."""
    return any(each.status == "ok" and each.attempt < record.attempt for each in found)


def _explain(shown: Screen, told: Moment) -> None:
    record = told.record
    shown.line(f"{record.request}, attempt {record.attempt}, {moment(record.at_us)}")
    policy = "no policy" if told.policy is None else f"policy {told.policy}"
    tag = f"tag {told.tag}" if told.tag else "no tag"
    shown.line(f"model {record.model}, {count(record.tokens_in)} tokens in; {tag}; {policy}")
    shown.line()
    rows = [_option(each, record) for each in told.options]
    head = ("PLACE", "DEPLOYMENT", "BESIDE", "LEARNED", "P50", "P90", "COST", "NOT BECAUSE OF", "")
    shown.rows(head, rows, right=(2, 3, 4, 5, 6))
    shown.line()
    counts = ", ".join(f"{name} {n}" for name, n in told.counts.items()) or "none"
    shown.line(f"rejected    {counts}")
    if told.then is not None:
        shown.line(f"cascade     {told.chosen}, then {told.then} if that is not good enough")
    shown.line(f"predicted   {span(record.predicted_us / 1e6)} when it came")
    shown.line(f"bound       {span(record.predicted_p90_us / 1e6)} when it came")
    held = record.total_us <= record.predicted_p90_us
    shown.line(f"took        {span(record.total_us / 1e6)}, {'within' if held else 'beyond'} it")


def _option(each: Option, record: UsageRecord) -> tuple[str, ...]:
    return (
        each.endpoint,
        each.deployment,
        str(each.load),
        count(each.learned),
        span(each.total_p50_s),
        span(each.total_p90_s),
        money(each.cost),
        each.rejected or "",
        "served it" if each.endpoint == record.endpoint else "",
    )


def simulate(*, file: File, limit: int = 5000, reach: Reach = HERE) -> None:
    """Say where recorded requests would have gone under the policies of a file; changes nothing.

    Args:
        file: A YAML file with kind: Policy, a folder, or - for standard input.
        limit: How many records to take, the latest, 1 to 20,000.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    found = documents.read(file)
    wanted = declared(found)
    with admin(reach) as control:
        control.apply(found, dry_run=True)
        records = control.requests(recorded.bounded(limit))
        prices, now = recorded.prices(control), recorded.policies(control)
        tags = recorded.tags(control)
    then = {each.name: each for each in [*now, *wanted]}
    before, after = (
        outlook(list(moments(records, prices, each, tags=tags))[WARM:])
        for each in (now, [*then.values()])
    )
    shown.json({"now": plain(before), "then": plain(after)})
    if not before.requests:
        shown.line(f"no more than {WARM} recorded requests ended well: nothing to go by")
        return
    shown.line(f"{count(before.requests)} recorded requests")
    shown.rows(("", "NOW", "THEN"), list(_compared(before, after)), right=(1, 2))


def declared(found: list[dict[str, object]]) -> list[Policy]:
    """Read the policies among documents.

    Raises:
        InvalidInput: There is none, or one cannot be read; the message says what is wrong.
    """
    policies: list[Policy] = []
    for document in found:
        if document.get("kind") != "Policy":
            continue
        try:
            spec = msgspec.convert(document.get("spec", {}), PolicySpec)
            name = msgspec.convert(document.get("metadata"), dict[str, object]).get("name")
        except msgspec.ValidationError as error:
            raise InvalidInput(f"a policy cannot be read: {error}") from error
        policies.append(Policy(name=str(name), spec=spec))
    if not policies:
        raise InvalidInput("there is no document of kind: Policy")
    return policies


def _compared(before: Outlook, after: Outlook) -> list[tuple[str, str, str]]:
    names = [each for each in dict.fromkeys([*before.went, *after.went]) if each != REFUSED]
    rows = [
        (f"to {name}", count(before.went.get(name, 0)), count(after.went.get(name, 0)))
        for name in names
    ]
    return [
        *rows,
        ("refused", count(before.went.get(REFUSED, 0)), count(after.went.get(REFUSED, 0))),
        ("deadlines missed by p50", count(before.expected_misses), count(after.expected_misses)),
        ("cost", money(before.cost), money(after.cost)),
        *_cascaded(before, after),
    ]


def _cascaded(before: Outlook, after: Outlook) -> list[tuple[str, str, str]]:
    """How many would begin a cascade, and what that costs at most; nothing where none does."""
    if not before.staged and not after.staged:
        return []
    return [
        ("first of two answers", count(before.staged), count(after.staged)),
        ("cost if all are escalated", money(before.cost_most), money(after.cost_most)),
    ]
