"""Loop: findings of one policy, folded one by one into which tags its candidate may serve.

Votes are of one answer each: the loss of one is what lies between it and the mean of the other
side's votes on the same tag.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from littoral.domain.audit import Finding, Standing
from littoral.domain.ids import DeploymentName
from littoral.placement.quality import (
    STEP,
    Audit,
    Guard,
    Loss,
    Posterior,
    allowed,
    audited,
    error,
    expected,
    loss,
    share,
    watched,
)

MOST_TAGS: Final = 1000
"""Tags of a policy that are kept apart; further ones are not learned, so that they stay held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Votes on one side's answers to a tag: how many, and their sum."""

    count: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """What callers said of a tag's answers: of those of the candidate, and of the reference."""

    cheap: Side = Side()
    dear: Side = Side()


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """Everything known of one policy.

    ``pair`` says of what: findings of other deployments or another judge begin anew. ``spent`` is
    the money that audits took.
    """

    pair: str
    guard: Guard
    standing: Standing
    tags: Mapping[str, Posterior] = field(default_factory=dict[str, Posterior])
    votes: Mapping[str, Votes] = field(default_factory=dict[str, Votes])
    spent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The loss to expect of a tag at the candidate, from so many audits that count.

    ``share`` is its part of the policy's requests, as far as audits tell.
    """

    tag: str
    audits: float
    loss: float
    error: float
    share: float
    allowed: bool


def begun(policy: str, candidate: str, *, pair: str, budget: float) -> Loop:
    """Return the loop of a policy without any finding.

    Checked by: tests/unit/placement/test_loop.py.
    """
    guard = Guard(budget=budget)
    standing = Standing(
        policy=policy,
        candidate=DeploymentName(candidate),
        decided=False,
        cheap=share(guard, cheap=True),
        dear=share(guard, cheap=False),
    )
    return Loop(pair=pair, guard=guard, standing=standing)


def heard(loop: Loop, finding: Finding) -> Loop:
    """Take one finding; what follows changes every ten of them.

    A finding stands for one divided by its probability of the tag's requests, which is how often it
    is asked.

    Checked by: tests/unit/placement/test_loop.py and tests/sim/test_quality.py.
    """
    before = loop.tags.get(finding.tag)
    if before is None:
        if len(loop.tags) >= MOST_TAGS:
            return loop
        before = Posterior()
    asked = before.asked + 1.0 / finding.probability
    after = audited(replace(before, asked=asked), finding.loss)
    audit = Audit(loss=finding.loss, cheap=finding.cheap, probability=finding.probability)
    found = replace(
        loop,
        guard=watched(loop.guard, audit),
        tags={**loop.tags, finding.tag: after},
        spent=loop.spent + finding.cost,
    )
    return found if found.guard.count % STEP else settled(found)


def settled(loop: Loop) -> Loop:
    """Say anew what follows from all that is known.

    Checked by: tests/unit/placement/test_loop.py.
    """
    guard = loop.guard
    tags = allowed(loop.tags, budget=guard.budget, slack=guard.slack)
    standing = replace(
        loop.standing,
        decided=not guard.young,
        tags=() if guard.young else tuple(sorted(tags)),
        cheap=share(guard, cheap=True),
        dear=share(guard, cheap=False),
    )
    return replace(loop, standing=standing)


def voted(loop: Loop, tag: str, score: float, *, cheap: bool) -> tuple[Loop, float | None]:
    """Take one vote; returns its loss, too, None while nobody voted on the other side of the tag.

    Checked by: tests/unit/placement/test_loop.py.
    """
    votes = loop.votes.get(tag)
    if votes is None:
        if len(loop.votes) >= MOST_TAGS:
            return loop, None
        votes = Votes()
    mine, other = (votes.cheap, votes.dear) if cheap else (votes.dear, votes.cheap)
    mine = Side(count=mine.count + 1.0, total=mine.total + score)
    votes = replace(votes, cheap=mine) if cheap else replace(votes, dear=mine)
    found = replace(loop, votes={**loop.votes, tag: votes})
    if not other.count:
        return found, None
    mean = other.total / other.count
    return found, mean - score if cheap else score - mean


def estimates(loop: Loop) -> list[Estimate]:
    """Return what is known of each tag, the one asked most first.

    Checked by: tests/unit/placement/test_loop.py.
    """
    count = sum(each.count for each in loop.tags.values())
    mean = sum(each.total for each in loop.tags.values()) / count if count else 0.0
    square = sum(each.squares for each in loop.tags.values()) / count if count else 0.0
    asked = sum(each.asked for each in loop.tags.values())
    found = [
        Estimate(
            tag=tag,
            audits=each.count,
            loss=expected(each, mean=mean),
            error=error(each, mean=mean, square=square),
            share=each.asked / asked if asked else 0.0,
            allowed=tag in loop.standing.tags,
        )
        for tag, each in loop.tags.items()
    ]
    return sorted(found, key=lambda each: (-each.share, each.tag))


def recent(loop: Loop) -> Loss:
    """Return the loss per request that callers got over the last audits, with its error.

    Checked by: tests/unit/placement/test_loop.py.
    """
    return loss(loop.guard.recent)
