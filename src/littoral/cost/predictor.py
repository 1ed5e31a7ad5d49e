"""Predictor: what one endpoint has shown of its speed, as a value that each outcome replaces."""

import math
from dataclasses import dataclass, replace
from typing import Final

from littoral.cost.lean import LEVEL, Lean, factors, leaned
from littoral.cost.length import Length, seen
from littoral.cost.phase import (
    CLIP,
    ENOUGH,
    TARGET,
    UNSEEN,
    Phase,
    Phases,
    centred,
    phase_of,
    put,
    rescaled,
    trend_after,
)
from littoral.cost.prior import UNKNOWN, Prior
from littoral.cost.recursion import Four, Recursion, begin, predict, step, widen
from littoral.cost.terms import stretch
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.prior import State
from littoral.domain.units import Seconds, Tokens

COLD_OUTCOMES: Final = 12
COLD_SPREAD: Final = math.log(3.0)
"""Until then p90 is three times p50."""
WINDOW: Final = 50
NARROWEST: Final = 0.02
"""A p90 is always this much above its p50, log seconds."""
WIDEST: Final = 3.0
"""A p90 is never more above its p50: a bound twenty times the median says nothing more."""
JUDGED: Final = 200
"""Outcomes before the skill against a plain percentile counts."""
STRAINED: Final = 1.05
"""Strain below which an outcome says nothing of what strain does."""
_ALL: Final = (1 << WINDOW) - 1
_UNHEARD: Final = Length()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one request took, as far as its predictor cares.

    ``active`` counts the other requests on the endpoint at admission. ``first_s`` is None where
    the first token was not seen apart (no streaming). ``predicted_p90_s`` is the bound that was
    issued. ``censored`` marks a request that was cancelled or timed out: it took at least
    ``total_s``. ``strain`` is how much slower the host's other load should have made it, at least
    1; ``link_s`` the part of the seconds that the way took; ``cap`` the most tokens allowed.
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
    strain: float = 1.0
    link_s: float = 0.0
    cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """Coefficients, quantiles of the residual, length of answers, and how far to trust it all.

    ``q50`` and ``q90`` are quantiles of log(actual / plain prediction) at the actual length, and
    ``trend`` follows the last of these residuals; the quick, the usual and the slow ``phases`` have
    a centre and a scale each. ``power`` is the exponent that the host's strain has in the seconds,
    ``power_var`` its variance. ``lean`` is how first tokens deviate, ``length`` that of answers.
    ``hits`` has a bit an outcome, the last in bit 0, set where the issued bound held; ``scored``
    counts them since the state last changed. ``loss`` and ``plain_loss`` are mean pinball losses,
    log seconds, of the bounds and of ``plain_q90``, the plain percentile of all seconds.
    """

    endpoint: EndpointId
    prior: Prior
    recursion: Recursion
    q50: float = 0.0
    q90: float = 0.3
    lean: Lean = LEVEL
    scale: float = 1.0
    trend: float = 0.0
    phases: Phases = UNSEEN
    power: float = 1.0
    power_var: float = 0.1
    length: Length = _UNHEARD
    loss: float = 0.0
    plain_loss: float = 0.0
    plain_q90: float | None = None
    count: int = 0
    hits: int = 0
    scored: int = 0
    state: State = "cold"


def fresh(endpoint: EndpointId, *, prior: Prior = UNKNOWN) -> Predictor:
    """Start an endpoint's predictor from its prior."""
    theta = prior.fixed_s, prior.prefill_s, prior.step_s, prior.crowd_s
    return Predictor(endpoint=endpoint, prior=prior, recursion=begin(theta))


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
        return _missed(predictor) if late else predictor
    full, first = _features(outcome)
    slow = math.pow(outcome.strain, predictor.power)
    total_s = _own(outcome.total_s, outcome.link_s) / slow
    recursion, whole = predictor.recursion, predict(predictor.recursion.theta, full)
    error = math.log(total_s / whole)
    lean = predictor.lean
    if outcome.first_s is not None:
        first_s = _own(outcome.first_s, outcome.link_s) / slow
        reading = predict(recursion.theta, first)
        off = math.log(first_s / reading) - predictor.q50
        lean = leaned(lean, predictor.count, first=off, share=reading / whole)
        recursion = step(recursion, first, first_s)
    bound = outcome.predicted_p90_s
    if predictor.state == "off":
        bound = _bound(predictor, full) * slow + outcome.link_s
    return _next_state(
        _learned(
            predictor,
            outcome,
            recursion=step(recursion, full, total_s),
            lean=lean,
            error=error,
            bound=bound,
        )
    )


def _learned(
    old: Predictor,
    outcome: Outcome,
    *,
    recursion: Recursion,
    lean: Lean,
    error: float,
    bound: float,
) -> Predictor:
    """Put together what an outcome changes, in one record: making one takes microseconds."""
    pace = 0.02 + 0.08 * math.exp(-old.count / 50)
    power, power_var = _power(old, error, outcome.strain)
    at = phase_of(old.trend)
    phase = centred(old.phases[at], error)
    scale, hits, scored = old.scale, old.hits, old.scored
    losses = (old.loss, old.plain_loss, old.plain_q90)
    if bound > 0.0:
        held = outcome.total_s <= bound
        hits, scored = (hits << 1 | held) & _ALL, scored + 1
        losses = _losses(old, bound, outcome.total_s)
        if old.state != "cold":
            scale = rescaled(scale, old.count, held=held)
            phase = Phase(phase.q50, rescaled(phase.scale, phase.seen, held=held), phase.seen)
    return Predictor(
        endpoint=old.endpoint,
        prior=old.prior,
        recursion=recursion,
        q50=old.q50 + (0.5 * pace if error > old.q50 else -0.5 * pace),
        q90=old.q90 + (TARGET * pace if error > old.q90 else (TARGET - 1.0) * pace),
        lean=lean,
        scale=scale,
        trend=trend_after(old.trend, error),
        phases=put(old.phases, at, phase),
        power=power,
        power_var=power_var,
        length=seen(old.length, outcome.tokens_out, cap=outcome.cap),
        loss=losses[0],
        plain_loss=losses[1],
        plain_q90=losses[2],
        count=old.count + 1,
        hits=hits,
        scored=scored,
        state=old.state,
    )


def skill(predictor: Predictor) -> float:
    """Return how much less the bounds lose than a plain percentile would; 0 while that is open.

    Source: pinball loss at .9 on log seconds.
    Checked by: tests/unit/cost/test_phase.py.
    """
    if predictor.count < JUDGED or predictor.plain_loss <= 0.0:
        return 0.0
    return 1.0 - predictor.loss / predictor.plain_loss


def fold(predictor: Predictor, *, version: int, strain: float = 1.0, link_s: float = 0.0) -> Folded:
    """Return the coefficients that ``decide`` reads.

    What the speed and what the length of answers leave open stand apart. A predictor that is
    cold promises three times its median; one that is off promises what is
    known of an unmeasured machine, and goes on learning.

    Args:
        predictor: What was learned.
        version: Number of this fold, so that a prediction can be computed again.
        strain: How much slower the host's other load should make it now, at least 1.
        link_s: What the way there takes now, seconds.

    Checked by: tests/unit/cost/test_predictor.py.
    """
    theta, state = predictor.recursion.theta, predictor.state
    if not all(map(math.isfinite, (*theta, predictor.q50, predictor.q90, predictor.scale))):
        state = "off"
    q50, scale = _phase(predictor)
    centre = math.exp(q50) * math.pow(strain, predictor.power)
    width = max(NARROWEST, predictor.q90 - predictor.q50)
    length = predictor.length.width
    read, write = factors(predictor.lean)
    if state == "off":
        theta, centre, read, write = tuple(predictor.prior), 1.0, 1.0, 1.0
    if state in {"cold", "off"}:
        scale, width, length = 1.0, COLD_SPREAD, 0.0
    return Folded(
        endpoint=predictor.endpoint,
        version=version,
        t0=Seconds(theta[0] * centre * read + link_s),
        t_in=Seconds(theta[1] * centre * read),
        t_step=Seconds(theta[2] * centre * write),
        width=min(width, WIDEST),
        scale=scale,
        out_p50=Tokens(round(predictor.length.median)),
        length=length,
        t_crowd=Seconds(theta[3] * centre * write),
        state=state,
    )


def _plausible(outcome: Outcome) -> bool:
    first = outcome.total_s if outcome.first_s is None else outcome.first_s
    return 0.0 < first <= outcome.total_s < math.inf and outcome.slots > 0


def _features(outcome: Outcome) -> tuple[Four, Four]:
    """Return the features of the last and of the first token, the wait for a slot in both."""
    uncached = float(max(1, outcome.tokens_in - outcome.tokens_cached))
    more = float(max(0, outcome.tokens_out - 1))
    beside = more * min(outcome.active, outcome.slots - 1)
    wait = stretch(outcome.active, outcome.slots)
    if not wait:
        return (1.0, uncached, more, beside), (1.0, uncached, 0.0, 0.0)
    whole = 1.0 + wait
    full = (whole, uncached * whole, more * whole, beside * whole)
    first = (whole, uncached * whole, more * wait, beside * wait)
    return full, first


def _own(seconds: float, link_s: float) -> float:
    """Return what of the seconds the machine took, whatever the way was thought to take."""
    return max(seconds - link_s, seconds / 10)


def _power(predictor: Predictor, error: float, strained: float) -> tuple[float, float]:
    """Learn what strain does, from a residual and the strain that it came with."""
    if strained < STRAINED:
        return predictor.power, predictor.power_var
    strain = math.log(strained)
    gain = predictor.power_var * strain / (1.0 + predictor.power_var * strain * strain)
    power = predictor.power + gain * max(-CLIP, min(CLIP, error))
    variance = predictor.power_var * (1.0 - gain * strain)
    return max(0.0, min(3.0, power)), max(0.005, variance)


def _phase(predictor: Predictor) -> tuple[float, float]:
    """Return centre and scale of the phase that the machine is in; those of all while it is new."""
    phase = predictor.phases[phase_of(predictor.trend)]
    if phase.seen < ENOUGH:
        return predictor.q50, predictor.scale
    return phase.q50, phase.scale


def _losses(predictor: Predictor, bound: float, actual: float) -> tuple[float, float, float]:
    """Compare the bound's loss with that of a plain percentile, which is moved as well."""
    took = math.log(actual)
    plain = took if predictor.plain_q90 is None else predictor.plain_q90
    share = max(1.0 / JUDGED, 1.0 / (predictor.count + 1))
    mine = _pinball(took - math.log(bound))
    return (
        predictor.loss + share * (mine - predictor.loss),
        predictor.plain_loss + share * (_pinball(took - plain) - predictor.plain_loss),
        plain + (0.05 * TARGET if took > plain else 0.05 * (TARGET - 1.0)),
    )


def _pinball(over: float) -> float:
    return TARGET * over if over > 0.0 else (TARGET - 1.0) * over


def _bound(predictor: Predictor, features: Four) -> float:
    """Return the p90 that the coefficients themselves give, whatever was issued."""
    width = max(NARROWEST, predictor.q90 - predictor.q50)
    q50, scale = _phase(predictor)
    median = predict(predictor.recursion.theta, features) * math.exp(q50)
    return median * math.exp(scale * width)


def _missed(predictor: Predictor) -> Predictor:
    """Note a bound that did not hold, of a request whose end nobody saw."""
    at = phase_of(predictor.trend)
    phase = predictor.phases[at]
    cold = predictor.state == "cold"
    scale = predictor.scale if cold else rescaled(predictor.scale, predictor.count, held=False)
    wider = rescaled(phase.scale, phase.seen, held=False)
    noted = replace(
        predictor,
        scale=scale,
        phases=put(predictor.phases, at, phase._replace(scale=wider)),
        hits=predictor.hits << 1 & _ALL,
        scored=predictor.scored + 1,
    )
    return _next_state(noted)


def _next_state(predictor: Predictor) -> Predictor:
    state = predictor.state
    if state == "cold":
        return _entered(predictor, "ok") if predictor.count >= COLD_OUTCOMES else predictor
    then = _state_after(predictor) if predictor.scored >= WINDOW else state
    if then == state:
        return predictor
    if state == "ok":
        wider = widen(predictor.recursion, 4.0)
        predictor = replace(predictor, scale=predictor.scale * 1.25, recursion=wider)
    return _entered(predictor, then)


def _state_after(predictor: Predictor) -> State:
    """Return the state that the last window of bounds means."""
    state, covered = predictor.state, predictor.hits.bit_count()
    if state == "ok":
        return "suspect" if covered <= 36 else "ok"
    worse = skill(predictor) < 0.0
    if state == "off":
        return "suspect" if covered >= 40 and not worse else "off"
    if covered < 30 or worse:
        return "off"
    return "ok" if covered >= 42 else "suspect"


def _entered(predictor: Predictor, state: State) -> Predictor:
    return replace(predictor, state=state, hits=0, scored=0)
