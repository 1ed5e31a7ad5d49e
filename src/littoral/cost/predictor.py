"""Predictor: what one endpoint has shown of its speed, as a value that each outcome replaces."""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from littoral.cost.recursion import Recursion, begin, predict, step, widen
from littoral.cost.terms import stretch
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.units import Seconds, Tokens

State: TypeAlias = Literal["cold", "ok", "suspect", "off"]

COLD_OUTCOMES: Final = 12
COLD_SPREAD: Final = math.log(3.0)
"""Until then p90 is three times p50."""
WINDOW: Final = 50
TARGET: Final = 0.9
NARROWEST: Final = 0.02
WIDEST: Final = 3.0
"""Log seconds: a bound twenty times the median says nothing more."""


class Prior(NamedTuple):
    """Seconds to expect of a machine nobody has measured, all above 0.

    A request at all, one input token, one output token, and what each other sequence in service
    adds to an output token.
    """

    fixed_s: float = 0.02
    prefill_s: float = 0.003
    step_s: float = 0.03
    crowd_s: float = 0.01


UNKNOWN: Final = Prior()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one request took, as far as its predictor cares.

    ``active`` counts the other requests on the endpoint at admission. ``first_s`` is None where
    the first token was not seen apart (no streaming). ``predicted_p90_s`` is the bound that was
    issued. ``censored`` marks a request that was cancelled or timed out: it took at least
    ``total_s``.
    """

    tokens_in: int
    tokens_cached: int = 0
    tokens_out: int
    active: int
    slots: int
    first_s: float | None
    total_s: float
    predicted_p90_s: float
    censored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Coefficients, quantiles of the residual, length of answers, and how far to trust it all.

    ``q50`` and ``q90`` are quantiles of log(actual / plain prediction) at the actual length,
    ``out_p50`` and ``out_p90`` those of the length. ``hits`` has a bit an outcome, the last in
    bit 0, set where the issued bound held; ``scored`` counts them since the state last changed.
    """

    endpoint: EndpointId
    prior: Prior
    recursion: Recursion
    q50: float = 0.0
    q90: float = 0.3
    scale: float = 1.0
    out_p50: float = 128.0
    out_p90: float = 256.0
    count: int = 0
    hits: int = 0
    scored: int = 0
    state: State = "cold"


def fresh(endpoint: EndpointId, *, prior: Prior = UNKNOWN) -> Predictor:
    """Start an endpoint's predictor from its prior."""
    return Predictor(endpoint=endpoint, prior=prior, recursion=begin(tuple(prior)))


def unknown(endpoint: EndpointId) -> Folded:
    """Return the coefficients of an endpoint that nobody has measured yet."""
    return fold(fresh(endpoint), version=0)


def observe(predictor: Predictor, outcome: Outcome) -> Predictor:
    """Learn from one outcome.

    The time to the first token and the time to the last are two readings of the same four
    coefficients, so that a fold is exactly what was learned. A censored outcome counts only as a
    bound that was missed, if it was; figures that cannot be are left out.

    Source: calibration of ADR 0008.
    Checked by: tests/unit/cost/test_predictor.py.
    """
    if not _plausible(outcome):
        return predictor
    if outcome.censored:
        late = 0.0 < outcome.predicted_p90_s < outcome.total_s
        return _scored(predictor, held=False) if late else predictor
    full, first = _features(outcome)
    plain_s = predict(predictor.recursion.theta, full)
    error = math.log(outcome.total_s / plain_s)
    recursion = predictor.recursion
    if outcome.first_s is not None:
        recursion = step(recursion, first, outcome.first_s)
    recursion = step(recursion, full, outcome.total_s)
    pace = 0.02 + 0.08 * math.exp(-predictor.count / 50)
    learned = replace(
        predictor,
        recursion=recursion,
        q50=predictor.q50 + pace * _pull(error > predictor.q50, quantile=0.5),
        q90=predictor.q90 + pace * _pull(error > predictor.q90, quantile=TARGET),
        out_p50=_length(predictor.out_p50, outcome.tokens_out, pace=2 * pace, quantile=0.5),
        out_p90=_length(predictor.out_p90, outcome.tokens_out, pace=2 * pace, quantile=TARGET),
        count=predictor.count + 1,
    )
    if predictor.count + 1 == COLD_OUTCOMES:
        return replace(learned, state="ok", hits=0, scored=0)
    bound = _bound(predictor, full) if predictor.state == "off" else outcome.predicted_p90_s
    return _scored(learned, held=outcome.total_s <= bound) if bound > 0.0 else learned


def fold(predictor: Predictor, *, version: int) -> Folded:
    """Return the coefficients that ``decide`` reads.

    What the speed and what the length of answers leave open stand apart. A predictor that is
    cold promises three times its median; one that is off promises what is
    known of an unmeasured machine, and goes on learning.

    Args:
        predictor: What was learned.
        version: Number of this fold, so that a prediction can be computed again.

    Checked by: tests/unit/cost/test_predictor.py.
    """
    theta, state = predictor.recursion.theta, predictor.state
    if not all(map(math.isfinite, (*theta, predictor.q50, predictor.q90, predictor.scale))):
        state = "off"
    centre = math.exp(predictor.q50)
    speed = max(NARROWEST, predictor.q90 - predictor.q50)
    length = math.log(max(1.0, predictor.out_p90 / predictor.out_p50))
    scale, width = predictor.scale, speed
    if state == "off":
        theta, centre = tuple(predictor.prior), 1.0
    if state in {"cold", "off"}:
        scale, width, length = 1.0, COLD_SPREAD, 0.0
    return Folded(
        endpoint=predictor.endpoint,
        version=version,
        t0=Seconds(theta[0] * centre),
        t_in=Seconds(theta[1] * centre),
        t_step=Seconds(theta[2] * centre),
        width=min(width, WIDEST),
        scale=scale,
        out_p50=Tokens(round(predictor.out_p50)),
        length=length,
        t_crowd=Seconds(theta[3] * centre),
        state=state,
    )


def _plausible(outcome: Outcome) -> bool:
    first = outcome.total_s if outcome.first_s is None else outcome.first_s
    return 0.0 < first <= outcome.total_s < math.inf and outcome.slots > 0


def _features(outcome: Outcome) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the features of the last and of the first token, the wait for a slot in both."""
    uncached = float(max(1, outcome.tokens_in - outcome.tokens_cached))
    more = float(max(0, outcome.tokens_out - 1))
    plain = (1.0, uncached, more, more * min(outcome.active, outcome.slots - 1))
    wait = stretch(outcome.active, outcome.slots)
    full = tuple(value * (1.0 + wait) for value in plain)
    first = (1.0 + wait, uncached * (1.0 + wait), plain[2] * wait, plain[3] * wait)
    return full, first


def _pull(above: bool, *, quantile: float) -> float:  # noqa: FBT001  a comparison's result
    """Return where an outcome pulls a quantile that lies below (or not) what came."""
    return quantile if above else quantile - 1.0


def _length(tracked: float, tokens_out: int, *, pace: float, quantile: float) -> float:
    pull = _pull(tokens_out > tracked, quantile=quantile)
    return max(1.0, tracked * math.exp(pace * pull))


def _bound(predictor: Predictor, features: tuple[float, ...]) -> float:
    """Return the p90 that the coefficients themselves give, whatever was issued."""
    width = max(NARROWEST, predictor.q90 - predictor.q50)
    median = predict(predictor.recursion.theta, features) * math.exp(predictor.q50)
    return median * math.exp(predictor.scale * width)


def _scored(predictor: Predictor, *, held: bool) -> Predictor:
    """Note whether a bound held, adapt the scale to it, and change the state if it is time."""
    pace = 0.05 + 0.03 * math.exp(-predictor.count / 200)
    scale = predictor.scale + pace * (TARGET - held)
    scored = replace(
        predictor,
        scale=predictor.scale if predictor.state == "cold" else min(10.0, max(0.1, scale)),
        hits=(predictor.hits << 1 | held) & ((1 << WINDOW) - 1),
        scored=predictor.scored + 1,
    )
    return _next_state(scored) if scored.scored >= WINDOW else scored


def _next_state(predictor: Predictor) -> Predictor:
    state, covered = predictor.state, predictor.hits.bit_count()
    if state == "ok" and covered <= 36:
        wider = widen(predictor.recursion, 4.0)
        doubtful = replace(predictor, scale=predictor.scale * 1.25, recursion=wider)
        return _entered(doubtful, "suspect")
    if state == "suspect" and covered >= 42:
        return _entered(predictor, "ok")
    if state == "suspect" and covered < 30:
        return _entered(predictor, "off")
    if state == "off" and covered >= 40:
        return _entered(predictor, "suspect")
    return predictor


def _entered(predictor: Predictor, state: State) -> Predictor:
    return replace(predictor, state=state, hits=0, scored=0)
