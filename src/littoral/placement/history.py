"""History: what was known when recorded requests came, and where a policy would have sent them.

Records are replayed in their order: each is predicted from those that had ended before it came, as
a node would have, and teaches once it ends. Nothing is known of hosts, links or caps: records hold
none of it, so what is found here is near to what the gateway knew, not the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush
from math import inf
from typing import Final, NamedTuple

from littoral.cost.length import Length, kind_of, seen
from littoral.cost.predictor import Outcome, Predictor, fold, fresh, observe
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.endpoint import Folded
from littoral.domain.flight import cost_of
from littoral.domain.ids import EndpointId
from littoral.domain.placement import Reason, Why
from littoral.domain.policy import Cascade, Policy, PolicySpec
from littoral.domain.usage import CACHE, UsageRecord
from littoral.placement.decide import UNBOUNDED, Row, Verdict, rank
from littoral.placement.policy import (
    Asker,
    barred,
    has_slack,
    holding,
    others,
    price_of,
    tagged,
)

MICRO: Final = 1e-6
SLOTS: Final = 4
"""Where a deployment does not say how many requests it serves at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What a deployment takes, per million tokens, and how many requests it serves at once.

    One that ``serves`` a model stands for itself, as an unmeasured machine, until a record of it
    comes.
    """

    serves: str = ""
    price_in: float = 0.0
    price_out: float = 0.0
    slots: int = SLOTS


def priced(name: str, spec: DeploymentSpec) -> Priced:
    """What a deployment takes, by what is declared of it.

    Checked by: tests/unit/placement/test_history.py.
    """
    return Priced(
        serves=name if spec.serves is None else spec.serves,
        price_in=spec.price_in,
        price_out=spec.price_out,
        slots=spec.slots or SLOTS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One place that might have served a request: what it would have taken, seconds, and cost.

    ``load`` requests were there; ``learned`` is of how many earlier ones that is predicted.
    """

    endpoint: str
    deployment: str
    load: int
    learned: int = 0
    first_p50_s: float = 0.0
    total_p50_s: float = 0.0
    total_p90_s: float = 0.0
    cost: float = 0.0
    rejected: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A request as it came: the places that were known to serve its model, and who would get it.

    ``tag`` is what the policies make of it, which may be another one than was recorded. ``then`` is
    whom a cascade would ask where the answer of the one chosen is not good enough.
    """

    record: UsageRecord
    options: tuple[Option, ...]
    chosen: str | None
    why: Why
    policy: str | None
    tag: str = ""
    then: str | None = None
    total_s: float = inf
    counts: Mapping[Reason, int] = field(default_factory=dict[Reason, int])


class _Wish(NamedTuple):
    """What a policy wants: a deadline, what its miss costs, and positions it bars, as bits."""

    total_s: float = inf
    miss_cost: float = 0.0
    barred: int = 0


_FREE: Final = _Wish()


@dataclass(slots=True)
class _Known:
    """What had been learned at some moment, and who was there."""

    predictors: dict[EndpointId, Predictor] = field(default_factory=dict[EndpointId, Predictor])
    lengths: dict[str, Length] = field(default_factory=dict[str, Length])
    serves: dict[str, dict[EndpointId, str]] = field(
        default_factory=dict[str, dict[EndpointId, str]]
    )
    loads: dict[EndpointId, int] = field(default_factory=dict[EndpointId, int])


def moments(
    records: Iterable[UsageRecord],
    prices: Mapping[str, Priced],
    policies: Sequence[Policy] = (),
    *,
    tags: Mapping[str, str] | None = None,
) -> Iterator[Moment]:
    """Replay records, each as it came; of several answers to one request the first counts.

    Args:
        records: Of any models; those that ended otherwise than well are left out.
        prices: By deployment; one that is not there is free.
        policies: What holds for them.
        tags: Of keys; a key that is not there has the tag of its record.

    Checked by: tests/unit/placement/test_history.py.
    """
    known, given = _Known(), tags or {}
    for name, priced in prices.items():
        if priced.serves:
            known.serves.setdefault(priced.serves, {})[EndpointId(name)] = name
    flying: list[tuple[int, int, UsageRecord, int]] = []
    answered: set[str] = set()
    good = [each for each in records if each.status == "ok" and each.endpoint != CACHE]
    for number, record in enumerate(sorted(good, key=lambda each: each.at_us)):
        while flying and flying[0][0] <= record.at_us:
            _, _, ended, active = heappop(flying)
            kind = _kind(tagged(policies, _asker(ended, given)))
            known.lengths[kind] = seen(known.lengths.get(kind) or Length(), ended.tokens_out)
            _learn(known, ended, active, slots=_priced(prices, ended.deployment).slots)
        served = known.serves.setdefault(record.model, {})
        served.pop(EndpointId(record.deployment), None)
        served[record.endpoint] = record.deployment
        if record.request not in answered:
            answered.add(record.request)
            asker = tagged(policies, _asker(record, given))
            policy = holding(policies, asker)
            yield _moment(known, record, asker, prices=prices, policy=policy)
        active = known.loads.get(record.endpoint, 0)
        known.loads[record.endpoint] = active + 1
        heappush(flying, (record.at_us + record.total_us, number, record, active))


def _priced(prices: Mapping[str, Priced], deployment: str) -> Priced:
    return prices.get(deployment) or Priced()


def _asker(record: UsageRecord, tags: Mapping[str, str]) -> Asker:
    tag = tags.get(record.key, record.tag)
    return Asker(record.project, record.key, record.model, tag)


def _kind(asker: Asker) -> str:
    return kind_of(tag=asker.tag, key=asker.key, model=asker.model)


def _learn(known: _Known, record: UsageRecord, active: int, *, slots: int) -> None:
    known.loads[record.endpoint] -= 1
    outcome = Outcome(
        tokens_in=record.tokens_in,
        tokens_cached=record.tokens_cached,
        tokens_out=record.tokens_out,
        active=active,
        slots=slots,
        first_s=record.first_us * MICRO if record.streamed and record.first_us else None,
        total_s=record.total_us * MICRO,
        predicted_p90_s=record.predicted_p90_us * MICRO,
    )
    before = _predictor(known, record.endpoint)
    known.predictors[record.endpoint] = observe(before, outcome)


def _moment(
    known: _Known,
    record: UsageRecord,
    asker: Asker,
    *,
    prices: Mapping[str, Priced],
    policy: Policy | None,
) -> Moment:
    served = known.serves[record.model]
    places = sorted(served)
    length = known.lengths.get(_kind(asker)) or Length()
    spec = PolicySpec() if policy is None else policy.spec
    dearest = _dearest(record, [_priced(prices, each) for each in served.values()], length)
    wish = _Wish(
        total_s=inf if spec.total_s is None else spec.total_s,
        miss_cost=price_of(spec.miss_cost, dearest),
        barred=barred(spec, [served[each] for each in places]),
    )
    rows = [_row(known, each, _priced(prices, served[each])) for each in places]
    loads = [known.loads.get(each, 0) for each in places]
    ranked = partial(_ranked, rows, loads, record, length=length)
    staged = None
    if spec.cascade is not None and not record.streamed:
        staged = _staged(spec.cascade, [served[each] for each in places], wish, ranked=ranked)
    verdict = ranked(wish=wish) if staged is None else staged[0]
    options = [
        _option(
            _ranked([rows[at]], [loads[at]], record, length=length, wish=_FREE),
            Option(
                endpoint=place,
                deployment=served[place],
                load=loads[at],
                learned=_predictor(known, place).count,
            ),
            "policy" if wish.barred >> at & 1 else None,
            total_s=wish.total_s,
        )
        for at, place in enumerate(places)
    ]
    return Moment(
        record=record,
        options=tuple(options),
        chosen=places[verdict.position] if verdict.position >= 0 else None,
        why=verdict.why,
        policy=None if policy is None else policy.name,
        tag=asker.tag,
        then=None if staged is None else places[staged[1]],
        total_s=wish.total_s,
        counts=_counts(options),
    )


def _staged(
    cascade: Cascade,
    deployments: Sequence[str],
    wish: _Wish,
    *,
    ranked: Callable[..., Verdict],
) -> tuple[Verdict, int] | None:
    """Rank both stages of a cascade; None where one has no place, or both do not fit."""
    first, then = (
        ranked(wish=wish._replace(barred=wish.barred | others(deployments, name)))
        for name in (cascade.first, cascade.then)
    )
    if min(first.position, then.position) < 0:
        return None
    if not has_slack(first.total_p90, then.total_p90, wish.total_s):
        return None
    return first, then.position


def _ranked(
    rows: Sequence[Row],
    loads: Sequence[int],
    record: UsageRecord,
    *,
    length: Length,
    wish: _Wish,
) -> Verdict:
    return rank(
        rows,
        loads,
        tokens_in=record.tokens_in,
        tokens_out=max(1, round(length.median)),
        mask=0,
        total_s=wish.total_s,
        skip=0,
        length=length.width,
        miss_cost=wish.miss_cost,
        barred=wish.barred,
    )


def _option(verdict: Verdict, place: Option, rejected: Reason | None, *, total_s: float) -> Option:
    late: Reason | None = "deadline" if verdict.total_p90 > total_s else None
    return replace(
        place,
        first_p50_s=verdict.first_p50,
        total_p50_s=verdict.total_p50,
        total_p90_s=verdict.total_p90,
        cost=verdict.cost,
        rejected=rejected or late,
    )


def _counts(options: Sequence[Option]) -> dict[Reason, int]:
    found: dict[Reason, int] = {}
    for each in options:
        if each.rejected is not None:
            found[each.rejected] = found.get(each.rejected, 0) + 1
    return found


def _predictor(known: _Known, endpoint: EndpointId) -> Predictor:
    return known.predictors.get(endpoint) or fresh(endpoint)


def _row(known: _Known, endpoint: EndpointId, priced: Priced) -> Row:
    folded: Folded = fold(_predictor(known, endpoint), version=0)
    return Row(
        endpoint,
        ready=True,
        mask=0,
        context=UNBOUNDED,
        slots=max(1, priced.slots),
        t0=folded.t0,
        t_in=folded.t_in,
        t_step=folded.t_step,
        width=folded.width,
        scale=folded.scale,
        price_in=priced.price_in,
        price_out=priced.price_out,
        t_crowd=folded.t_crowd,
    )


def _dearest(record: UsageRecord, every: Sequence[Priced], length: Length) -> float:
    tokens_out = max(1, round(length.median))
    return max(
        cost_of(record.tokens_in, tokens_out, price_in=each.price_in, price_out=each.price_out)
        for each in every
    )
