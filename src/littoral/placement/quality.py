"""Quality: which tags may be served by the cheaper candidate, by audits, within a loss budget.

A loss is the score of the better candidate minus that of the cheaper one on the same request, from
-1 to 1. Audits run both on a few requests; a closed loop holds the loss that people get below a
budget. Nothing here sees a request: only tags, losses and probabilities.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

SHRINK: Final = 8.0
"""Audits' worth of trust in the mean of all tags."""
FADE: Final = 0.98
"""Weight that an audit keeps with each later one of its tag."""
WINDOW: Final = 200
"""Audits that the guard looks back on."""
LATE: Final = 50
"""The last of them, which alone may end all trust."""
STEP: Final = 10
"""Audits between two moves of the slack."""
YOUNG: Final = 300
"""Audits before which the operator's own rating decides."""
CHEAP_SHARE: Final = 0.15
DEAR_SHARE: Final = 0.05
"""Of requests that the cheaper and the dearer candidate serve, how many are audited."""
SURE: Final = 1.28
"""Standard errors between an estimate and what is believed with 90 %."""
GROW: Final = 1.15
SHRINK_BY: Final = 0.75
LEAST_SLACK: Final = 0.05
MOST_SLACK: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What is known of one tag: faded count and sums of losses, and how often it is asked."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0
    asked: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One request that both candidates answered.

    ``cheap`` says whether the caller got the cheaper answer; ``probability`` is with which it was
    picked.
    """

    loss: float
    cheap: bool
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """The closed loop: a window of audits, and which share of the budget may be planned with."""

    budget: float
    slack: float = MOST_SLACK
    count: int = 0
    recent: tuple[Audit, ...] = field(default_factory=tuple)

    @property
    def young(self) -> bool:
        """Whether there are too few audits to decide by."""
        return self.count < YOUNG


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """The loss per request that callers got, with its standard error."""

    mean: float
    error: float


def audited(posterior: Posterior, loss: float) -> Posterior:
    """Learn one audited loss of a tag.

    Checked by: tests/unit/placement/test_quality.py.
    """
    clipped = max(-1.0, min(1.0, loss))
    return replace(
        posterior,
        count=posterior.count * FADE + 1.0,
        total=posterior.total * FADE + clipped,
        squares=posterior.squares * FADE + clipped * clipped,
    )


def expected(posterior: Posterior, *, mean: float) -> float:
    """Return the loss to expect of a tag, shrunk towards the mean of all tags.

    Checked by: tests/unit/placement/test_quality.py.
    """
    return (posterior.total + SHRINK * mean) / (posterior.count + SHRINK)


def error(posterior: Posterior, *, mean: float, square: float) -> float:
    """Return the standard error of what is expected of a tag.

    Args:
        posterior: What is known of it.
        mean: Of all tags' losses.
        square: The mean of their squares.

    Checked by: tests/unit/placement/test_quality.py.
    """
    count = posterior.count + SHRINK
    second = (posterior.squares + SHRINK * square) / count
    first = expected(posterior, mean=mean)
    return math.sqrt(max(0.0, second - first * first) / count)


def allowed(posteriors: Mapping[str, Posterior], *, budget: float, slack: float) -> frozenset[str]:
    """Return the tags that the cheaper candidate may serve.

    Those with the least expected loss first, while the loss of all of them, weighted by how often
    each is asked, stays within the planned share of the budget.

    Args:
        posteriors: By tag.
        budget: Loss per request that is accepted.
        slack: Share of it to plan with, from the guard.

    Source: a knapsack whose items are taken by value.
    Checked by: tests/unit/placement/test_quality.py and tests/sim/test_quality.py.
    """
    count = sum(each.count for each in posteriors.values())
    mean = sum(each.total for each in posteriors.values()) / count if count > 0.0 else 0.0
    asked = sum(each.asked for each in posteriors.values())
    losses = sorted((expected(each, mean=mean), tag) for tag, each in posteriors.items())
    taken: set[str] = set()
    spent = 0.0
    for loss, tag in losses:
        share = posteriors[tag].asked / asked if asked > 0.0 else 0.0
        spent += share * max(loss, 0.0)
        if spent > budget * slack:
            break
        taken.add(tag)
    return frozenset(taken)


def share(guard: Guard, *, cheap: bool) -> float:
    """Return with which probability the next request is audited.

    More often while there are few audits; a cheap answer is audited at a cloud's price, a dear one
    at an idle machine's.

    Checked by: tests/unit/placement/test_quality.py.
    """
    steady = CHEAP_SHARE if cheap else DEAR_SHARE
    return max(steady, 1.0 - guard.count / YOUNG) if guard.young else steady


def watched(guard: Guard, audit: Audit) -> Guard:
    """Take one audit and, once the window is full, move the slack.

    Up where the loss is below the budget for sure, else down; to the least at once where the last
    quarter of the window is above it for sure.

    Source: the closed loop over audited loss.
    Checked by: tests/unit/placement/test_quality.py and tests/sim/test_quality.py.
    """
    recent = (*guard.recent, audit)[-WINDOW:]
    seen = replace(guard, recent=recent, count=guard.count + 1)
    if len(recent) < WINDOW or seen.count % STEP:
        return seen
    found, late = loss(recent), loss(recent[-LATE:])
    safe = found.mean + SURE * found.error < guard.budget
    slack = guard.slack * (GROW if safe else SHRINK_BY)
    if late.mean - SURE * late.error > guard.budget:
        slack = LEAST_SLACK
    return replace(seen, slack=max(LEAST_SLACK, min(MOST_SLACK, slack)))


def loss(audits: Sequence[Audit]) -> Loss:
    """Estimate the loss per request of what callers got, each audit weighted by its probability.

    Checked by: tests/unit/placement/test_quality.py.
    """
    weights = [1.0 / audit.probability for audit in audits]
    total = sum(weights)
    if total <= 0.0:
        return Loss(mean=0.0, error=math.inf)
    got = [audit.loss if audit.cheap else 0.0 for audit in audits]
    mean = sum(w * x for w, x in zip(weights, got, strict=True)) / total
    spread = sum((w * (x - mean)) ** 2 for w, x in zip(weights, got, strict=True))
    return Loss(mean=mean, error=math.sqrt(spread) / total)
