"""Recursion: weighted least squares on log seconds, one outcome at a time."""

import math
from dataclasses import dataclass
from typing import Final

FORGET: Final = 0.985
"""Weight that an outcome keeps with each later one: a memory of 67."""
INITIAL: Final = 10.0
"""Variance of a coefficient before any outcome, in squares of its prior."""
FLOOR_S: Final = 0.005
CLIP: Final = 1.5
REFRESH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recursion:
    """Coefficients, what they are measured in (their priors), and their covariance, row by row."""

    theta: tuple[float, ...]
    unit: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    count: int = 0


def begin(theta: tuple[float, ...]) -> Recursion:
    """Start from prior coefficients, seconds a unit of each feature, all above 0."""
    size = range(len(theta))
    covariance = tuple(tuple(INITIAL if row == col else 0.0 for col in size) for row in size)
    return Recursion(theta=theta, unit=theta, covariance=covariance)


def predict(theta: tuple[float, ...], x: tuple[float, ...]) -> float:
    """Return the seconds of features ``x``, at least 5 ms."""
    return max(FLOOR_S, sum(t * v for t, v in zip(theta, x, strict=True)))


def step(state: Recursion, x: tuple[float, ...], y: float) -> Recursion:
    """Learn from one outcome.

    A Gauss-Newton step on log seconds: residuals are relative, clipped, and coefficients stay at
    or above 0. Forgetting pauses while the covariance is large, so that silence on one feature
    does not blow it up; one triangle is computed and mirrored, so that it stays symmetric.

    Args:
        state: What is known so far.
        x: Features, as many as coefficients.
        y: Seconds that it took, above 0.

    Source: recursive least squares with a forgetting factor.
    Checked by: tests/unit/cost/test_recursion.py.
    """
    size = len(state.theta)
    yhat = predict(state.theta, x)
    error = min(CLIP, max(-CLIP, math.log(y / yhat)))
    gradient = [value * unit / yhat for value, unit in zip(x, state.unit, strict=True)]
    old = state.covariance
    trace = sum(old[i][i] for i in range(size))
    forget = FORGET if trace < 10.0 * size * INITIAL else 1.0
    gain = [sum(p * g for p, g in zip(row, gradient, strict=True)) for row in old]
    spread = forget + sum(g * k for g, k in zip(gradient, gain, strict=True))
    theta = tuple(
        max(0.0, t + u * k * error / spread)
        for t, u, k in zip(state.theta, state.unit, gain, strict=True)
    )
    count = state.count + 1
    jitter = 1e-9 if count % REFRESH == 0 else 0.0
    fresh = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i, size):
            fresh[i][j] = fresh[j][i] = (old[i][j] - gain[i] * gain[j] / spread) / forget
        fresh[i][i] += jitter
    covariance = tuple(tuple(row) for row in fresh)
    return Recursion(theta=theta, unit=state.unit, covariance=covariance, count=count)


def widen(state: Recursion, factor: float) -> Recursion:
    """Trust the coefficients less, so that the next outcomes move them more."""
    covariance = tuple(tuple(value * factor for value in row) for row in state.covariance)
    return Recursion(theta=state.theta, unit=state.unit, covariance=covariance, count=state.count)
