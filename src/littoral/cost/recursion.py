"""Recursion: least squares on log seconds, one outcome at a time."""

import math
from dataclasses import dataclass
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
    return sum(t * v for t, v in zip(theta, x, strict=True))


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
    terms = [t * v for t, v in zip(state.theta, x, strict=True)]
    yhat = sum(terms)
    error = math.log(y / yhat)
    clipped = max(-CLIP, min(CLIP, error))
    surprise = 1.0 if clipped == error else SURPRISE
    share = [term / yhat for term in terms]
    gain = [sum([p * s for p, s in zip(row, share, strict=True)]) for row in state.covariance]
    before = max(1e-12, sum([s * k for s, k in zip(share, gain, strict=True)]))
    kept = surprise / (1.0 + surprise * before)
    count = state.count + 1
    return Recursion(
        theta=tuple(
            _moved(t, k * kept * clipped, prior=p)
            for t, k, p in zip(state.theta, gain, state.prior, strict=True)
        ),
        prior=state.prior,
        covariance=_changed(
            state.covariance,
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


def _moved(theta: float, by: float, *, prior: float) -> float:
    moved = theta * math.exp(max(-CLIP, min(CLIP, by)))
    return max(prior / RANGE, min(prior * RANGE, moved))


def _changed(old: Matrix, gain: list[float], *, by: float, jitter: float) -> Matrix:
    """Add ``by`` times the square of ``gain``: one triangle computed, the other mirrored."""
    size = range(len(gain))
    new = [list(row) for row in old]
    for i in size:
        new[i][i] = max(0.0, old[i][i] + by * gain[i] * gain[i]) + jitter
        for j in range(i + 1, len(gain)):
            new[i][j] = new[j][i] = old[i][j] + by * gain[i] * gain[j]
    return tuple(map(tuple, new))
