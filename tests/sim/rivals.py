"""Rival predictors, each with the same kind of bound, scored on the same requests."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from littoral.cost.phase import TARGET, rescaled
from littoral.cost.recursion import predict

EWMA = 0.1


def features(tokens_in: int, tokens_out: int) -> tuple[float, ...]:
    """What a request brings: itself, its input, its answer beyond the first token."""
    return (1.0, float(max(1, tokens_in)), float(max(0, tokens_out - 1)), 0.0)


@dataclass(slots=True)
class Bound:
    """p90 beside somebody else's median: a tracked quantile of its errors, conformally scaled."""

    q90: float = 0.5
    scale: float = 1.0
    count: int = 0

    def p90(self, p50: float) -> float:
        """The bound to issue."""
        return p50 * math.exp(self.scale * max(0.02, self.q90))

    def learn(self, p50: float, p90: float, actual: float) -> None:
        """Take what came."""
        error = math.log(actual / p50)
        pace = 0.02 + 0.08 * math.exp(-self.count / 50)
        self.q90 += pace * (TARGET if error > self.q90 else TARGET - 1.0)
        self.scale = rescaled(self.scale, self.count, held=actual <= p90)
        self.count += 1


@dataclass(slots=True)
class Rival:
    """One predictor of one place.

    ``theta`` are coefficients that never change; without any, it is a moving mean of all answers.
    """

    theta: tuple[float, ...] = ()
    mean: float = 0.0
    seen: int = 0
    bound: Bound = field(default_factory=Bound)

    def predict(self, tokens_in: int, tokens_out: int) -> tuple[float, float]:
        """p50 and p90, seconds."""
        p50 = math.exp(self.mean)
        if self.theta:
            p50 = predict(self.theta, features(tokens_in, tokens_out))
        return p50, self.bound.p90(p50)

    def learn(self, promised: tuple[float, float], actual: float) -> None:
        """Take what came."""
        share = max(EWMA, 1.0 / (self.seen + 1))
        self.mean += share * (math.log(actual) - self.mean)
        self.seen += 1
        self.bound.learn(*promised, actual)


def rivals(one_shot: Sequence[float], profile: Sequence[float]) -> dict[str, Rival]:
    """Those of one place.

    Args:
        one_shot: Seconds a request, an input token, an output token, from three probes.
        profile: The same, fitted to the requests of a quiet calibration.
    """
    return {
        "one_shot": Rival(theta=(*one_shot, 0.0)),
        "frozen_profile": Rival(theta=(*profile, 0.0)),
        "ewma": Rival(),
    }
