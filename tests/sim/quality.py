"""Quality, played: tags with true losses, one of two candidates a request, audits, the loop."""

from dataclasses import dataclass
from itertools import pairwise

from littoral.domain.audit import Finding
from littoral.domain.ids import DeploymentName
from littoral.domain.units import Micros
from littoral.placement.loop import begun, heard
from littoral.placement.quality import LEAST_SLACK, SHRINK_BY, STEP, WINDOW
from littoral.testing.chance import SeededChance

TAGS = 57
REQUESTS = 14_000
BUDGET = 0.02
RECENT = 2000
"""Requests over which it is asked what callers truly lost."""


@dataclass
class Played:
    """Loss a request, over the run and its second half; share served cheaply; what the guard did.

    ``moves`` are changes of the slack; of ``looks`` at a full window, ``alarms`` ended all trust at
    once, and ``false`` are those while callers truly lost no more than the budget.
    """

    loss: float
    late_loss: float
    cheap: float
    moves: int
    looks: int
    alarms: int
    false: int


class Fleet:
    """Tags by how often they are asked, and how often each place answers them right."""

    def __init__(self, chance, *, broken):
        self.tags = [f"tag{at}" for at in range(TAGS)]
        spread = [0.56 * (chance.random() - 0.5) for _ in self.tags]
        self.cheap = [min(0.98, max(0.3, 0.681 + each)) for each in spread]
        self.dear = [min(0.99, right + 0.25 * chance.random()) for right in self.cheap]
        weights = [1.0 / (at + 4) for at in range(TAGS)]
        self.bounds = [sum(weights[: at + 1]) / sum(weights) for at in range(TAGS)]
        self.spoilt = {at for at in range(TAGS) if chance.random() < broken}

    def draw(self, chance):
        """The next request's tag, by position."""
        want = chance.random() * self.bounds[-1]
        return next(at for at, bound in enumerate(self.bounds) if want <= bound)

    def right(self, at, *, late):
        """How often the cheap place is right; a spoilt tag is guessed at, in the second half."""
        return 0.25 if late and at in self.spoilt else self.cheap[at]


def play(seed, *, broken=0.0, watch=heard):
    """One run; from its half on a share of the tags is answered by guessing at the cheap place."""
    chance = SeededChance(seed)
    fleet = Fleet(chance, broken=broken)
    loop = begun("p", "edge", pair="edge/cloud", budget=BUDGET)
    losses, cheaply, slacks, alarms = [], 0, [loop.guard.slack], []
    for number in range(REQUESTS):
        at = fleet.draw(chance)
        right, cheap = (
            fleet.right(at, late=number >= REQUESTS // 2),
            fleet.tags[at] in loop.standing.tags,
        )
        losses.append(fleet.dear[at] - right if cheap else 0.0)
        cheaply += cheap
        probability = loop.standing.cheap if cheap else loop.standing.dear
        if chance.random() < probability:
            lost = float(chance.random() < fleet.dear[at]) - float(chance.random() < right)
            loop = watch(
                loop,
                Finding(
                    at_us=Micros(number),
                    policy="p",
                    tag=fleet.tags[at],
                    candidate=DeploymentName("edge"),
                    judge="test",
                    loss=lost,
                    cheap=cheap,
                    probability=probability,
                ),
            )
            slacks.append(loop.guard.slack)
            if alarmed(*slacks[-2:]):
                late = losses[-RECENT:]
                alarms.append(sum(late) / len(late) <= BUDGET)
    half = REQUESTS // 2
    return Played(
        loss=sum(losses) / REQUESTS,
        late_loss=sum(losses[half:]) / half,
        cheap=cheaply / REQUESTS,
        moves=sum(after != before for before, after in pairwise(slacks)),
        looks=max(0, (loop.guard.count - WINDOW) // STEP),
        alarms=len(alarms),
        false=sum(alarms),
    )


def alarmed(before, after):
    """Whether the slack fell to the least at once, from more than one step above it."""
    return after == LEAST_SLACK and before * SHRINK_BY > LEAST_SLACK
