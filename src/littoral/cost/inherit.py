"""Inherit: what a predictor begins with where others, or it itself before, knew such an engine."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Final, cast

from littoral.cost.predictor import Predictor, Prior, fresh
from littoral.cost.recursion import Triangle
from littoral.domain.ids import EndpointId
from littoral.domain.prior import FleetPrior, Learned

ENOUGH: Final = 50
"""Outcomes before others may use what was learned."""
MOVED: Final = 0.15
"""Log seconds by which a coefficient must have moved before a prior is published anew."""
CAREFUL: Final = 1.25
"""How much wider the bounds of a predictor are that began with somebody else's coefficients."""
SHARE: Final = 0.04
"""Of the variance that an unmeasured machine begins with: others of its kind are alike, about."""
_LEAST, _MOST = 1e-8, 1e3
"""Seconds that a coefficient may be."""


def learned_of(predictor: Predictor, *, kind: str) -> Learned:
    """Return what a predictor knows, to be told to control.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    return Learned(
        endpoint=predictor.endpoint,
        state=predictor.state,
        outcomes=predictor.count,
        kind=kind,
        theta=predictor.recursion.theta,
        q50=predictor.q50,
        q90=predictor.q90,
        scale=predictor.scale,
        power=predictor.power,
    )


def doubt(learned: Learned | FleetPrior) -> str:
    """Return why coefficients are not to be believed; empty where they are sound.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    if len(learned.theta) != len(Prior._fields):
        return f"{len(learned.theta)} coefficients, where there are {len(Prior._fields)}"
    bounds: Mapping[str, tuple[float, float, float]] = {
        **{
            name: (value, _LEAST, _MOST)
            for name, value in zip(Prior._fields, learned.theta, strict=True)
        },
        "q50": (learned.q50, -3.0, 3.0),
        "q90": (learned.q90, -3.0, 6.0),
        "scale": (learned.scale, 0.05, 20.0),
        "power": (learned.power, 0.0, 3.0),
    }
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:
            return f"{name} is {value:g}, not within {least:g} to {most:g}"
    return ""


def is_shared(learned: Learned) -> bool:
    """Say whether others may begin with this: of a known kind, proven, and sound.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    known = bool(learned.kind) and learned.state == "ok" and learned.outcomes >= ENOUGH
    return known and not doubt(learned)


def pooled(every: Sequence[Learned], *, version: int) -> FleetPrior:
    """Return the median of each coefficient of equal engines, of which there is one at least.

    One node that is wrong moves the median of three little, whatever it says.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    return FleetPrior(
        version=version,
        nodes=len(every),
        theta=tuple(
            math.exp(median(map(math.log, each))) for each in zip(*_thetas(every), strict=True)
        ),
        q50=median(each.q50 for each in every),
        q90=median(each.q90 for each in every),
        scale=median(each.scale for each in every),
        power=median(each.power for each in every),
    )


def is_news(old: FleetPrior | None, new: FleetPrior) -> bool:
    """Say whether a prior is to be published: it is the first one, or has moved.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    if old is None:
        return True
    moves = (abs(math.log(b / a)) for a, b in zip(old.theta, new.theta, strict=True))
    return max(moves) > MOVED


def inherited(endpoint: EndpointId, prior: FleetPrior) -> Predictor:
    """Return a predictor that begins with others' coefficients, on probation.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    begun = fresh(endpoint, prior=Prior(*prior.theta))
    covariance = cast("Triangle", tuple(each * SHARE for each in begun.recursion.covariance))
    return replace(
        begun,
        recursion=begun.recursion._replace(covariance=covariance),
        q50=prior.q50,
        q90=max(prior.q90, prior.q50),
        scale=max(1.0, prior.scale) * CAREFUL,
        power=prior.power,
        state="suspect",
    )


def resumed(endpoint: EndpointId, kept: Predictor) -> Predictor | None:
    """Return a predictor that goes on with what it knew itself; None where that is not sound.

    Checked by: tests/unit/cost/test_inherit.py.
    """
    if doubt(learned_of(kept, kind="")):
        return None
    return replace(kept, endpoint=endpoint, hits=0, scored=0)


def _thetas(every: Sequence[Learned]) -> Sequence[tuple[float, ...]]:
    return [each.theta for each in every]
