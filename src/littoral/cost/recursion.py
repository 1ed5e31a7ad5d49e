"""Recursion: least squares on log seconds, one outcome at a time.

Of four coefficients, and written out for them: a step in loops takes several times as long.
"""

import math
from typing import Final, NamedTuple, TypeAlias

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

_exp = math.exp
Four: TypeAlias = tuple[float, float, float, float]
"""One number a coefficient, or a feature."""
Triangle: TypeAlias = tuple[float, float, float, float, float, float, float, float, float, float]
"""A symmetric matrix of four rows: its upper triangle, row by row."""


class Recursion(NamedTuple):
    """Coefficients, the least and the most that each may become, and the covariance of their logs.

    ``steps`` counts the outcomes. A tuple, since a frozen record takes a microsecond to make.
    """

    theta: Four
    least: Four
    most: Four
    covariance: Triangle
    steps: int = 0


def begin(prior: Four) -> Recursion:
    """Start from prior coefficients, seconds a unit of each feature, all above 0.

    That the whole machine is slower or faster is thought likelier than that one coefficient alone
    is off, so the first outcome moves all of them.
    """
    a, b, c, d = prior
    least = a / RANGE, b / RANGE, c / RANGE, d / RANGE
    most = a * RANGE, b * RANGE, c * RANGE, d * RANGE
    own, both = SPEED + MIX, SPEED
    covariance = (own, both, both, both, own, both, both, own, both, own)
    return Recursion(prior, least, most, covariance)


def predict(theta: Four, x: Four) -> float:
    """Return the seconds of features ``x``."""
    t0, t1, t2, t3 = theta
    x0, x1, x2, x3 = x
    return t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3


def step(state: Recursion, x: Four, y: float) -> Recursion:
    """Learn from one outcome.

    A Gauss-Newton step on log seconds in the logs of the coefficients: residuals are relative,
    coefficients stay above 0, and a gradient is each term's share of the prediction, so that no
    outcome weighs more because the prediction was far off. Only what the outcome speaks about is
    forgotten: requests that are all alike leave the rest as it was. An outcome beyond the clip
    widens the same direction first: either it is an outlier, or the machine has changed.

    Args:
        state: What is known so far.
        x: Features, the first above 0.
        y: Seconds that it took, above 0.

    Source: recursive least squares with directional forgetting (Kulhavy).
    Checked by: tests/unit/cost/test_recursion.py.
    """
    theta, least, most, covariance, steps = state
    (t0, t1, t2, t3), (x0, x1, x2, x3) = theta, x
    s0, s1, s2, s3 = t0 * x0, t1 * x1, t2 * x2, t3 * x3
    yhat = s0 + s1 + s2 + s3
    error = math.log(y / yhat)
    clipped = -CLIP if error < -CLIP else min(error, CLIP)
    surprise = 1.0 if clipped == error else SURPRISE
    s0, s1, s2, s3 = share = s0 / yhat, s1 / yhat, s2 / yhat, s3 / yhat
    g0, g1, g2, g3 = gain = _gain(covariance, share)
    before = max(s0 * g0 + s1 * g1 + s2 * g2 + s3 * g3, 1e-12)
    kept = surprise / (1.0 + surprise * before)
    by, steps = (kept / FORGET - 1.0) / before, steps + 1
    moved = _moved(theta, gain, kept * clipped, within=(least, most))
    jitter = 0.0 if steps % REFRESH else 1e-9
    return Recursion(moved, least, most, _changed(covariance, gain, by, jitter=jitter), steps)


def widen(state: Recursion, factor: float) -> Recursion:
    """Trust the coefficients less, so that the next outcomes move them more."""
    p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = state.covariance
    k = max(1.0, min(factor, 4 * CEILING / (p00 + p11 + p22 + p33)))
    covariance = (
        *(p00 * k, p01 * k, p02 * k, p03 * k),
        *(p11 * k, p12 * k, p13 * k),
        *(p22 * k, p23 * k),
        p33 * k,
    )
    return state._replace(covariance=covariance)


def _gain(old: Triangle, share: Four) -> Four:
    """Return the covariance times the shares."""
    p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = old
    s0, s1, s2, s3 = share
    return (
        p00 * s0 + p01 * s1 + p02 * s2 + p03 * s3,
        p01 * s0 + p11 * s1 + p12 * s2 + p13 * s3,
        p02 * s0 + p12 * s1 + p22 * s2 + p23 * s3,
        p03 * s0 + p13 * s1 + p23 * s2 + p33 * s3,
    )


def _moved(theta: Four, gain: Four, by: float, *, within: tuple[Four, Four]) -> Four:
    """Move each coefficient by its gain, by at most the clip, and no further than it may go."""
    t0, t1, t2, t3 = theta
    g0, g1, g2, g3 = gain
    g0, g1, g2, g3 = logs = g0 * by, g1 * by, g2 * by, g3 * by
    if not (
        -CLIP <= g0 <= CLIP and -CLIP <= g1 <= CLIP and -CLIP <= g2 <= CLIP and -CLIP <= g3 <= CLIP
    ):
        g0, g1, g2, g3 = _clipped(logs)
    t0, t1, t2, t3 = moved = t0 * _exp(g0), t1 * _exp(g1), t2 * _exp(g2), t3 * _exp(g3)
    (a0, a1, a2, a3), (z0, z1, z2, z3) = within
    if a0 <= t0 <= z0 and a1 <= t1 <= z1 and a2 <= t2 <= z2 and a3 <= t3 <= z3:
        return moved
    return _held(t0, a0, z0), _held(t1, a1, z1), _held(t2, a2, z2), _held(t3, a3, z3)


def _clipped(logs: Four) -> Four:
    a, b, c, d = logs
    return (
        _held(a, -CLIP, CLIP),
        _held(b, -CLIP, CLIP),
        _held(c, -CLIP, CLIP),
        _held(d, -CLIP, CLIP),
    )


def _held(value: float, least: float, most: float) -> float:
    """Return the nearest value within the range; the most where there is none."""
    return value if least <= value <= most else least if value < least else most


def _changed(old: Triangle, gain: Four, by: float, *, jitter: float) -> Triangle:
    """Add ``by`` times the square of ``gain``; no variance below 0, and each more by ``jitter``."""
    p00, p01, p02, p03, p11, p12, p13, p22, p23, p33 = old
    g0, g1, g2, g3 = gain
    b0, b1, b2, b3 = by * g0, by * g1, by * g2, by * g3
    p00, p11, p22, p33 = p00 + b0 * g0, p11 + b1 * g1, p22 + b2 * g2, p33 + b3 * g3
    return (
        (p00 if p00 > 0.0 else 0.0) + jitter,  # noqa: FURB136  max() is a call, as below
        p01 + b0 * g1,
        p02 + b0 * g2,
        p03 + b0 * g3,
        (p11 if p11 > 0.0 else 0.0) + jitter,  # noqa: FURB136  as above
        p12 + b1 * g2,
        p13 + b1 * g3,
        (p22 if p22 > 0.0 else 0.0) + jitter,  # noqa: FURB136  as above
        p23 + b2 * g3,
        (p33 if p33 > 0.0 else 0.0) + jitter,  # noqa: FURB136  as above
    )
