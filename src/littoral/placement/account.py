"""Account: predictions against what came, where requests went, and what that saved."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from littoral.cost.residual import Accuracy, Pair, score
from littoral.domain.decided import rejected_of, why_of
from littoral.domain.flight import cost_of
from littoral.domain.usage import CACHE, UsageRecord
from littoral.placement.history import Moment, Priced

MICRO: Final = 1e-6
REFUSED: Final = "(refused)"
"""Stands among deployments for what none of them would get."""
DRAWN: Final = 2000
"""Moments, about, at which coverage is looked at where there are more outcomes."""
WINDOW: Final = 50
"""Outcomes over which coverage is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgered:
    """One endpoint's row: how many requests, how right the predictions, the money.

    ``cover`` has, over time, (microseconds, share of the last fifty bounds that held). ``why``
    counts why it was chosen, ``rejected`` what others were rejected for meanwhile; what was not
    noted is in neither.
    """

    endpoint: str
    deployment: str
    model: str
    requests: int
    accuracy: Accuracy
    cost: float
    pairs: tuple[Pair, ...]
    cover: tuple[tuple[int, float], ...]
    why: Mapping[str, int] = field(default_factory=dict[str, int])
    rejected: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(slots=True)
class _Found:
    """What one pass over the records leaves of a place."""

    requests: int = 0
    cost: float = 0.0
    timed: list[tuple[int, Pair]] = field(default_factory=list[tuple[int, Pair]])
    why: Counter[str] = field(default_factory=Counter[str])
    rejected: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """Money spent, and what all requests would have cost at the dearest place of their models."""

    spent: float
    dearest: float

    @property
    def share(self) -> float:
        """What was spent as a share of the dearest; 0 where that is free."""
        return self.spent / self.dearest if self.dearest > 0.0 else 0.0


def pair_of(record: UsageRecord) -> Pair | None:
    """Return a record's prediction and what it took, seconds; None where there was none.

    Checked by: tests/unit/placement/test_account.py.
    """
    if record.status != "ok" or record.endpoint == CACHE or not record.total_us:
        return None
    if not record.predicted_us or not record.predicted_p90_us:
        return None
    return Pair(
        record.predicted_us * MICRO, record.predicted_p90_us * MICRO, record.total_us * MICRO
    )


def endpoints(records: Iterable[UsageRecord]) -> list[Ledgered]:
    """Return a row an endpoint, the busiest first; goes over the records once.

    Checked by: tests/unit/placement/test_account.py.
    """
    groups: dict[tuple[str, str, str], _Found] = {}
    for each in records:
        if each.endpoint != CACHE:
            names = (each.endpoint, each.deployment, each.model)
            _note(groups.setdefault(names, _Found()), each)
    rows = [_row(*names, found=found) for names, found in groups.items()]
    return sorted(rows, key=lambda row: (-row.requests, row.endpoint))


def _note(found: _Found, record: UsageRecord) -> None:
    found.requests += 1
    found.cost += record.cost
    why = why_of(record.decided)
    if why is not None:
        found.why[why] += 1
        found.rejected.update(rejected_of(record.decided))
    pair = pair_of(record)
    if pair is not None:
        found.timed.append((record.at_us, pair))


def _row(endpoint: str, deployment: str, model: str, *, found: _Found) -> Ledgered:
    timed = sorted(found.timed)
    held = [pair.actual <= pair.p90 for _, pair in timed]
    stride = 1 + len(held) // DRAWN
    return Ledgered(
        endpoint=endpoint,
        deployment=deployment,
        model=model,
        requests=found.requests,
        accuracy=score([pair for _, pair in timed]),
        cost=found.cost,
        pairs=tuple(pair for _, pair in timed),
        cover=tuple(
            (timed[at][0], sum(held[at + 1 - WINDOW : at + 1]) / WINDOW)
            for at in range(WINDOW - 1, len(held), stride)
        ),
        why=dict(found.why.most_common()),
        rejected=dict(found.rejected.most_common()),
    )


def saved(records: Iterable[UsageRecord], prices: Mapping[str, Priced]) -> Saved:
    """Compare what was spent with the dearest deployment of each model that served any of it.

    Goes over the records twice.

    Checked by: tests/unit/placement/test_account.py.
    """
    serving: dict[str, set[str]] = {}
    for each in records:
        if each.endpoint != CACHE:
            serving.setdefault(each.model, set()).add(each.deployment)
    spent = most = 0.0
    for each in records:
        spent += each.cost
        most += dearest(each, serving.get(each.model, ()), prices)
    return Saved(spent=spent, dearest=most)


def dearest(record: UsageRecord, deployments: Iterable[str], prices: Mapping[str, Priced]) -> float:
    """Return what a request would have cost at the dearest of deployments, or did cost.

    What was paid counts where it is more: prices change, and deployments are deleted.

    Checked by: tests/unit/placement/test_account.py.
    """
    costs = (
        cost_of(record.tokens_in, record.tokens_out, price_in=p.price_in, price_out=p.price_out)
        for p in (prices.get(name) or Priced() for name in deployments)
    )
    return max(record.cost, max(costs, default=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a policy would have done: requests by deployment and by reason, misses, money.

    ``expected_misses`` and ``cost`` are by the medians predicted, as nobody knows what the places
    not taken would have needed; ``regret`` is what requests cost beyond the cheapest place that
    would have kept the deadline, on average. ``staged`` requests would have begun a cascade, which
    costs ``cost_most`` in all where none of their first answers is good enough.
    """

    requests: int
    went: Mapping[str, int]
    why: Mapping[str, int]
    expected_misses: int
    shed: int
    cost: float
    regret: float
    staged: int = 0
    cost_most: float = 0.0


def outlook(moments: Iterable[Moment]) -> Outlook:
    """Sum up what was chosen.

    Checked by: tests/unit/placement/test_account.py.
    """
    went: Counter[str] = Counter()
    why: Counter[str] = Counter()
    missed, cost, regret = 0, 0.0, 0.0
    staged, more = 0, 0.0
    for moment in moments:
        why[moment.why] += 1
        chosen = next((o for o in moment.options if o.endpoint == moment.chosen), None)
        if chosen is None:
            went[REFUSED] += 1
            continue
        went[chosen.deployment] += 1
        missed += chosen.total_p50_s > moment.total_s
        cost += chosen.cost
        staged += moment.then is not None
        more += sum(each.cost for each in moment.options if each.endpoint == moment.then)
        kept = [each.cost for each in moment.options if each.rejected is None]
        regret += max(0.0, chosen.cost - min(kept, default=chosen.cost))
    count = why.total()
    return Outlook(
        requests=count,
        went=dict(went.most_common()),
        why=dict(why.most_common()),
        expected_misses=missed,
        shed=why["shed"],
        cost=cost,
        regret=regret / count if count else 0.0,
        staged=staged,
        cost_most=cost + more,
    )
