"""Watching: what Prometheus is told of predictions, decisions and money."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from littoral.control.check import Specs
from littoral.control.desk import Desk
from littoral.control.exposition import Family, Sampled
from littoral.control.policies import policies_of
from littoral.control.tally import Place, Tallied
from littoral.cost.residual import Accuracy
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.prior import WORST
from littoral.placement.account import outlook
from littoral.placement.history import Priced, moments, priced

_JUDGED: Final[Sequence[tuple[str, str, Callable[[Accuracy], float]]]] = (
    ("coverage", "Share of the last 200 outcomes within their p90.", lambda found: found.coverage),
    ("bias", "Median of time by p50, less 1; above 0: later than said.", lambda found: found.bias),
    ("error", "Median of the error of p50 by the time.", lambda found: found.mdape),
    ("width", "Median of p90 by the time.", lambda found: found.sharpness),
)
_COUNTED: Final[Sequence[tuple[str, str, str, Callable[[Tallied], Mapping[str, int]]]]] = (
    ("requests", "Attempts that were booked.", "status", lambda each: each.statuses),
    ("decisions", "Why this place was chosen.", "why", lambda each: each.whys),
    ("rejections", "Other places rejected meanwhile.", "reason", lambda each: each.rejected),
)


def node_of(desk: Desk, name: str) -> str:
    """The id of a node by its id or name; what is not known is taken as an id: it may be gone."""
    found = [each.id for each in desk.fleet.nodes() if name in {each.id, each.name}]
    return found[0] if found else name


def prices_of(specs: Specs) -> Mapping[str, Priced]:
    """What each deployment takes."""
    return {
        name: priced(name, spec)
        for (kind, name), spec in specs.items()
        if kind == "Deployment" and isinstance(spec, DeploymentSpec)
    }


def families(desk: Desk, specs: Specs) -> Sequence[Family]:
    """All metrics as they are now; counters begin when control does."""
    tally = desk.archive.tally
    places = tally.places()
    return (
        *_predictions(places),
        *_predictors(desk),
        *_decisions(places),
        *_money(places),
        *_kept(desk, specs),
    )


def _predictions(places: Mapping[Place, Tallied]) -> Iterator[Family]:
    judged = {place: each.accuracy for place, each in places.items() if each.pairs}
    of = _of(places)
    yield _counter(
        "littoral_prediction_outcomes",
        "Requests with a prediction and an end.",
        [(of[place], float(each.scored)) for place, each in places.items()],
    )
    yield _counter(
        "littoral_prediction_held",
        "Of these, the ones that ended within their p90.",
        [(of[place], float(each.held)) for place, each in places.items()],
    )
    for name, told, pick in _JUDGED:
        samples = [(of[place], pick(found)) for place, found in judged.items()]
        yield _gauge(f"littoral_prediction_{name}", told, samples)


def _predictors(desk: Desk) -> Iterator[Family]:
    known = [
        ({"node": each.node, "endpoint": each.learned.endpoint}, each.learned)
        for each in desk.priors.predictors()
    ]
    yield _gauge(
        "littoral_predictor_state",
        "1 for the state that a predictor is in.",
        [
            ({**of, "state": state}, float(learned.state == state))
            for of, learned in known
            for state in WORST
        ],
    )
    yield _gauge(
        "littoral_predictor_outcomes",
        "Outcomes that it has learned from.",
        [(of, float(learned.outcomes)) for of, learned in known],
    )


def _decisions(places: Mapping[Place, Tallied]) -> Iterator[Family]:
    of = _of(places)
    for name, told, label, pick in _COUNTED:
        samples = [
            ({**of[place], label: word}, float(count))
            for place, each in places.items()
            for word, count in sorted(pick(each).items())
        ]
        yield _counter(f"littoral_placement_{name}", told, samples)


def _money(places: Mapping[Place, Tallied]) -> Iterator[Family]:
    of = _of(places)
    yield _counter(
        "littoral_placement_spent",
        "Money spent.",
        [(of[place], each.spent) for place, each in places.items()],
    )
    yield _counter(
        "littoral_placement_dearest",
        "What the dearest deployments of the same models would have taken.",
        [(of[place], each.dearest) for place, each in places.items()],
    )
    yield _gauge(
        "littoral_placement_saved",
        "The one less the other, since control began.",
        [(of[place], each.dearest - each.spent) for place, each in places.items()],
    )


def _kept(desk: Desk, specs: Specs) -> Iterator[Family]:
    latest = desk.archive.tally.latest
    looked = outlook(moments(latest, prices_of(specs), policies_of(specs)))
    yield _gauge(
        "littoral_placement_regret",
        "What one of the last 500 requests cost beyond the cheapest place in time, on average.",
        [({}, looked.regret)] if looked.requests else [],
    )
    level = desk.archive.level()
    yield _gauge("littoral_records", "Records kept.", [({}, float(level.records))])
    yield _gauge("littoral_records_bytes", "Their bytes.", [({}, float(level.size))])


def _of(places: Mapping[Place, Tallied]) -> Mapping[Place, Mapping[str, str]]:
    return {place: place._asdict() for place in places}


def _counter(name: str, told: str, samples: Sequence[Sampled]) -> Family:
    return Family(name=f"{name}_total", kind="counter", help=told, samples=samples)


def _gauge(name: str, told: str, samples: Sequence[Sampled]) -> Family:
    return Family(name=name, kind="gauge", help=told, samples=samples)
