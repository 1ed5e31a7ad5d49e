"""Rules: the policies that are played on the engines."""

from dataclasses import dataclass
from functools import partial

from world import CLOUD_SLOTS, EDGE_SLOTS

from sim.policies import (
    Policy,
    View,
    cloud_only,
    edge_only,
    load_heuristic,
    mean_prediction,
    oracle,
    ours,
    p90_bare,
    threshold,
)

MISS_COST = 1e-4
"""What a miss costs, USD: as much as about seven middling requests at the cloud."""


@dataclass(slots=True)
class Turn:
    """Counters that some rules need."""

    count: int = 0


_turn = Turn()


def round_robin(view: View) -> str:
    """In turn, where the cloud is believed to be there."""
    _turn.count += 1
    return "cloud" if view.cloud_up and _turn.count % 2 else "edge"


def least_loaded(view: View) -> str:
    """Where fewer slots are taken, by share."""
    edge, cloud = view.loads[0] / EDGE_SLOTS, view.loads[1] / CLOUD_SLOTS
    return "edge" if edge <= cloud or not view.cloud_up else "cloud"


def mixed(view: View) -> str:
    """Of five requests three to the edge: to learn and to judge predictions by."""
    _turn.count += 1
    return "cloud" if view.cloud_up and _turn.count % 5 in {1, 3} else "edge"


def policies(limit: int, *, miss_cost: float = MISS_COST) -> dict[str, Policy]:
    """All that are played; ``limit`` is the best threshold in hindsight.

    ``p90_bound`` is the rule that serves: bound, price of a miss, harm, refusal; ``p90_bare`` has
    the bound alone.
    """
    return {
        "edge_only": edge_only,
        "cloud_only": cloud_only,
        "round_robin": round_robin,
        "least_loaded": least_loaded,
        "size_threshold": threshold(limit),
        "load_heuristic": load_heuristic,
        "mean_prediction": mean_prediction,
        "p90_bare": p90_bare,
        "p90_bound": partial(ours, miss_cost=miss_cost),
        "oracle": partial(oracle, miss_cost=miss_cost),
    }


STATIC = (
    "edge_only", "cloud_only", "round_robin", "least_loaded", "size_threshold", "load_heuristic",
)  # fmt: skip
PRICED = {"p90_bound", "p90_bare", "mean_prediction", "oracle"}
"""Those that give the link little time: the others wait a second for it."""
TOGETHER = ("edge_only", "cloud_only")
"""Two that share neither engine nor core are played at one time."""
EVERYWHERE = (*STATIC, "p90_bound")
"""Played at each load; the others at the middle one."""
