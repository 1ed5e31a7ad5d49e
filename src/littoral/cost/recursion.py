"""Recursion: least squares on log seconds, one outcome at a time."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import mul
from typing import Final, TypeAlias

FORGET: Final = 0.985
"""Weight that an outcome keeps with each later one: a memory of 67."""
SPEED: Final = 25.0
"""Variance of the machine's speed before any outcome, in squares of the noise of one outcome."""
MIX: Final = 5.0
"""The same for each coefficient's own deviation from that speed."""
CEILING: Final = 10.0 * (SPEED + MIX)
"""Mean variance up to which the covariance may be widened."""
CLIP: Final = 1.5
SURPRISE: Final = 4.0
RANGE: Final = 1e4
"""Coefficients stay within this factor of their priors."""
REFRESH: Final = 1000
"""Updates after which the diagonal gets a little more, against rounding."""

_times: Callable[[float, float], float] = mul
_exp = math.exp
Matrix: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recursion:
    """Coefficients, their priors, and the covariance of their logs, row by row."""

    theta: tuple[float, ...]
    prior: tuple[float, ...]
    covariance: Matrix
    count: int = 0


def begin(prior: tuple[float, ...]) -> Recursion:
    """Start from prior coefficients, seconds a unit of each feature, all above 0.

    That the whole machine is slower or faster is thought likelier than that one coefficient alone
    is off, so the first outcome moves all of them.
    """
    size = range(len(prior))
    covariance = tuple(tuple(SPEED + MIX * (row == col) for col in size) for row in size)
    return Recursion(theta=prior, prior=prior, covariance=covariance)


def predict(theta: tuple[float, ...], x: tuple[float, ...]) -> float:
    """Return the seconds of features ``x``."""
    return sum(map(_times, theta, x))


def step(state: Recursion, x: tuple[float, ...], y: float) -> Recursion:
    """Learn from one outcome.

    A Gauss-Newton step on log seconds in the logs of the coefficients: residuals are relative,
    coefficients stay above 0, and a gradient is each term's share of the prediction, so that no
    outcome weighs more because the prediction was far off. Only what the outcome speaks about is
    forgotten: requests that are all alike leave the rest as it was. An outcome beyond the clip
    widens the same direction first: either it is an outlier, or the machine has changed.

    Args:
        state: What is known so far.
        x: Features, as many as coefficients, the first above 0.
        y: Seconds that it took, above 0.

    Source: recursive least squares with directional forgetting (Kulhavy).
    Checked by: tests/unit/cost/test_recursion.py.
    """
    theta, prior, rows = state.theta, state.prior, state.covariance
    terms = list(map(_times, theta, x))
    yhat = sum(terms)
    error = math.log(y / yhat)
    clipped = -CLIP if error < -CLIP else min(error, CLIP)
    surprise = 1.0 if clipped == error else SURPRISE
    share = [term / yhat for term in terms]
    gain = [sum(map(_times, row, share)) for row in rows]
    before = sum(map(_times, share, gain))
    before = max(before, 1e-12)
    kept = surprise / (1.0 + surprise * before)
    count = state.count + 1
    return Recursion(
        theta=_moved(theta, gain, prior=prior, by=kept * clipped),
        prior=prior,
        covariance=_changed(
            rows,
            gain,
            by=(kept / FORGET - 1.0) / before,
            jitter=1e-9 if count % REFRESH == 0 else 0.0,
        ),
        count=count,
    )


def widen(state: Recursion, factor: float) -> Recursion:
    """Trust the coefficients less, so that the next outcomes move them more."""
    size = len(state.prior)
    trace = sum(state.covariance[i][i] for i in range(size))
    factor = max(1.0, min(factor, size * CEILING / trace))
    covariance = tuple(tuple(value * factor for value in row) for row in state.covariance)
    return Recursion(theta=state.theta, prior=state.prior, covariance=covariance, count=state.count)


def _moved(
    theta: tuple[float, ...], gain: list[float], *, prior: tuple[float, ...], by: float
) -> tuple[float, ...]:
    """Move each coefficient by its gain, by at most the clip, within the range of its prior."""
    moved: list[float] = []
    for value, each, first in zip(theta, gain, prior, strict=True):
        log = each * by
        if not -CLIP <= log <= CLIP:
            log = math.copysign(CLIP, log)
        value *= _exp(log)  # noqa: PLW2901  a new one at every step
        if not first / RANGE <= value <= first * RANGE:
            value = first / RANGE if value < first else first * RANGE  # noqa: PLW2901  likewise
        moved.append(value)
    return tuple(moved)


def _changed(old: Matrix, gain: list[float], *, by: float, jitter: float) -> Matrix:
    """Add ``by`` times the square of ``gain``: one triangle computed, the other mirrored."""
    new = [list(row) for row in old]
    size = len(gain)
    for i, row in enumerate(new):
        factor = by * gain[i]
        value = row[i] + factor * gain[i]
        row[i] = (value if value > 0.0 else 0.0) + jitter  # noqa: FURB136  max() is a call
        for j in range(i + 1, size):
            row[j] = new[j][i] = row[j] + factor * gain[j]
    return tuple(map(tuple, new))
