"""Policies: where a request goes, by rules alone, by a mean, by a bound, by what a miss costs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from littoral.placement.decide import Row, rank
from sim.stepper import SLOTS, Ask

MISS_COST = 1e-3


@dataclass(frozen=True, slots=True)
class View:
    """What a policy may look at when a request comes."""

    ask: Ask
    rows: tuple[Row, ...]
    loads: tuple[int, ...]
    tokens_out: int
    length: float
    cloud_up: bool
    truth: tuple[Row, ...]
    flying: int = 0
    """Requests under way at an API that has no slots."""


Policy = Callable[[View], str]
"""Names the place: edge, cloud or shed."""


def edge_only(_view: View) -> str:
    """Everything on the machine of our own."""
    return "edge"


def cloud_only(_view: View) -> str:
    """Everything at the API, without a second try."""
    return "cloud"


def round_robin(view: View) -> str:
    """In turn, where the cloud is believed to be there."""
    return "cloud" if view.cloud_up and int(view.ask.came * 1e6) % 2 else "edge"


def threshold(limit: int) -> Policy:
    """Small inputs on the edge."""

    def choose(view: View) -> str:
        return "edge" if view.ask.tokens_in < limit or not view.cloud_up else "cloud"

    return choose


def load_heuristic(view: View) -> str:
    """On the edge while a slot is free."""
    return "edge" if view.loads[0] < SLOTS or not view.cloud_up else "cloud"


def least_loaded(view: View) -> str:
    """Where fewer requests are under way; the machine of our own, where as many."""
    return "edge" if view.loads[0] <= view.flying or not view.cloud_up else "cloud"


def oracle(view: View, *, miss_cost: float = MISS_COST) -> str:
    """Ours, with true sizes, speeds and link of this moment; it does not know the future."""
    known = replace(view, tokens_out=view.ask.tokens_out, length=0.0)
    return _by_rank(known, view.truth, miss_cost=miss_cost)


def _by_rank(view: View, rows: tuple[Row, ...], *, miss_cost: float) -> str:
    if view.ask.confidential:
        rows = rows[:1]
    verdict = rank(
        rows,
        view.loads,
        tokens_in=view.ask.tokens_in,
        tokens_out=view.tokens_out,
        mask=1,
        total_s=view.ask.deadline,
        skip=0,
        length=view.length,
        miss_cost=miss_cost,
    )
    return "shed" if verdict.why == "shed" else rows[verdict.position].id


def mean_prediction(view: View) -> str:
    """The cheapest whose median keeps the deadline."""
    rows = tuple(row._replace(width=0.0, scale=0.0) for row in view.rows)
    return _by_rank(view, rows, miss_cost=0.0)


def p90_bare(view: View) -> str:
    """The cheapest whose p90 keeps the deadline."""
    return _by_rank(view, view.rows, miss_cost=0.0)


def ours(view: View, *, miss_cost: float = MISS_COST) -> str:
    """Misses and harm priced, refusal a candidate."""
    return _by_rank(view, view.rows, miss_cost=miss_cost)


POLICIES: dict[str, Policy] = {
    "edge_only": edge_only,
    "cloud_only": cloud_only,
    "round_robin": round_robin,
    "least_loaded": least_loaded,
    "load_heuristic": load_heuristic,
    **{f"threshold_{limit}": threshold(limit) for limit in (0, 25, 40, 60, 100, 200)},
    "mean_prediction": mean_prediction,
    "p90_bare": p90_bare,
    "p90_bound": ours,
    "oracle": oracle,
}
"""``p90_bound`` is the rule that serves: bound, price of a miss, harm, refusal; ``p90_bare`` has
the bound alone."""
STATIC = tuple(
    name for name in POLICIES if name not in {"mean_prediction", "p90_bare", "p90_bound", "oracle"}
)
"""What decides by rules alone."""
