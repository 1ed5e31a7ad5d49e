"""Quality, played: tags with true losses, one of two candidates a request, audits, the loop."""

from dataclasses import dataclass, replace
from itertools import pairwise

from littoral.placement.quality import (
    Audit,
    Guard,
    Posterior,
    allowed,
    audited,
    share,
    watched,
)
from littoral.testing.chance import SeededChance

TAGS = 57
REQUESTS = 14_000
RESOLVE = 100
BUDGET = 0.02


@dataclass
class Played:
    """Loss a request, over the run and its second half; share served cheaply; the guard's moves."""

    loss: float
    late_loss: float
    cheap: float
    moves: int


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


def play(seed, *, broken=0.0, watch=watched):
    """One run; from its half on a share of the tags is answered by guessing at the cheap place."""
    chance = SeededChance(seed)
    fleet = Fleet(chance, broken=broken)
    posteriors = [Posterior() for _ in fleet.tags]
    guard, taken = Guard(budget=BUDGET), frozenset()
    losses, cheaply, slacks = [], 0, [guard.slack]
    for number in range(REQUESTS):
        at = fleet.draw(chance)
        right, cheap = fleet.right(at, late=number >= REQUESTS // 2), fleet.tags[at] in taken
        losses.append(fleet.dear[at] - right if cheap else 0.0)
        cheaply += cheap
        posteriors[at] = replace(posteriors[at], asked=posteriors[at].asked + 1)
        probability = share(guard, cheap=cheap)
        if chance.random() < probability:
            lost = float(chance.random() < fleet.dear[at]) - float(chance.random() < right)
            posteriors[at] = audited(posteriors[at], lost)
            guard = watch(guard, Audit(loss=lost, cheap=cheap, probability=probability))
            slacks.append(guard.slack)
        if number % RESOLVE == 0 and not guard.young:
            known = dict(zip(fleet.tags, posteriors, strict=True))
            taken = allowed(known, budget=BUDGET, slack=guard.slack)
    half = REQUESTS // 2
    return Played(
        loss=sum(losses) / REQUESTS,
        late_loss=sum(losses[half:]) / half,
        cheap=cheaply / REQUESTS,
        moves=sum(after != before for before, after in pairwise(slacks)),
    )
