"""Canaries: which requests and nodes try a new version, and whether it may go on.

Both versions serve the same name at the same time, so they are compared on the same traffic. A
version is judged by what people get, not by whether it answers its probe.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import Final

from littoral.domain.clock import Chance
from littoral.domain.rollout import Arm, RolloutSpec, Ruling

SURE: Final = 1.64
"""Standard errors between an estimate and its one-sided 95 % bound."""
TAIL: Final = 0.9
DRAWS: Final = 200
"""Resamples of the bootstrap."""
PATIENCE: Final = 10
"""Times the requests of a step after which a version that cannot be shown to be good is refused."""
FEW: Final = 20
"""Requests after which a version of which half fail is refused at once."""
_RULINGS: Final = ("reject", "more", "accept")


def is_chosen(name: str, share: float) -> bool:
    """Whether a request, or a node, is among a share of all: the same one always, or never.

    Args:
        name: Its id.
        share: 0 to 1; whoever is chosen at a smaller share is chosen at a larger one, too.

    Checked by: tests/unit/placement/test_canary.py.
    """
    drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
    return drawn < share * 2**32


def quality(diffs: Sequence[float], *, eps: float, most: int) -> Ruling:
    """Judge by scores of the same items: each old minus new, so that more is worse.

    Accept where mean + 1.64 se <= eps, refuse where mean - 1.64 se > eps, and at ``most`` items.

    Checked by: tests/unit/placement/test_canary.py, by simulation.
    """
    count = len(diffs)
    if count < 2:
        return Ruling(verdict="more", why=f"quality: {count} of {most} items are scored")
    mean = sum(diffs) / count
    spread = math.sqrt(sum((each - mean) ** 2 for each in diffs) / (count - 1) / count)
    low, high = mean - SURE * spread, mean + SURE * spread
    told = f"quality: worse by {100 * low:.1f} to {100 * high:.1f} points, {100 * eps:.1f} allowed"
    if low > eps or (count >= most and high > eps):
        return Ruling(verdict="reject", why=told)
    if high <= eps and count >= most:
        return Ruling(verdict="accept", why=told)
    return Ruling(verdict="more", why=told)


def latency(
    old: Sequence[float], new: Sequence[float], *, bound: float, what: str, chance: Chance
) -> Ruling:
    """Judge by the ratio of the 90th percentiles, bounded by a bootstrap.

    Args:
        old: Seconds, at least two.
        new: Seconds of the new version, at least two.
        bound: What the upper 95 % bound of the ratio may be.
        what: Which time, for people.
        chance: Draws the resamples.

    Checked by: tests/unit/placement/test_canary.py, by simulation.
    """
    if min(len(old), len(new)) < 2:
        return Ruling(verdict="more", why=f"{what}: too few requests")
    before, after = sorted(old), sorted(new)
    ratios = sorted(_p90(after, chance) / _p90(before, chance) for _ in range(DRAWS))
    low, high = ratios[DRAWS // 20], ratios[DRAWS - 1 - DRAWS // 20]
    told = f"{what}: p90 {low:.2f} to {high:.2f} times the old one's, {bound:.2f} allowed"
    if high <= bound:
        return Ruling(verdict="accept", why=told)
    return Ruling(verdict="reject" if low > bound else "more", why=told)


def errors(old: Arm, new: Arm, *, bound: float) -> Ruling:
    """Judge by the share of requests that failed: at most ``bound`` above the old one's.

    Checked by: tests/unit/placement/test_canary.py.
    """
    before, after = (arm.failed / max(1, arm.total) for arm in (old, new))
    told = f"errors: {100 * after:.1f} % after {100 * before:.1f} %"
    if after <= before + bound:
        return Ruling(verdict="accept", why=told)
    spread = math.sqrt(after * (1 - after) / new.total)
    sure = after - SURE * spread > before + bound
    return Ruling(verdict="reject" if sure else "more", why=told)


def judge(
    spec: RolloutSpec, old: Arm, new: Arm, *, diffs: Sequence[float], chance: Chance
) -> Ruling:
    """Judge one step: every bound must hold; one that is surely broken ends it.

    Args:
        spec: Its bounds.
        old: Requests to the old version, since the rollout began.
        new: Requests to the new one, of this step.
        diffs: Scores of the golden items, old minus new, where any are asked for.
        chance: Draws resamples.

    Source: one-sided 95 % bounds; the bootstrap percentile interval.
    Checked by: tests/unit/placement/test_canary.py, by simulation.
    """
    if new.total >= FEW and 2 * new.failed >= new.total:
        return Ruling(verdict="reject", why=f"{new.failed} of {new.total} requests failed")
    rulings = [errors(old, new, bound=spec.errors / 100)]
    if spec.scores:
        rulings.append(quality(diffs, eps=spec.quality / 100, most=spec.scores))
    if new.total < spec.requests:
        lacking = Ruling(verdict="more", why=f"{new.total} of {spec.requests} requests")
        return min([*rulings, lacking], key=_rank)
    for what, before, after in (
        ("first token", old.firsts, new.firsts),
        ("each token", old.steps, new.steps),
    ):
        rulings.append(latency(before, after, bound=spec.latency, what=what, chance=chance))
    worst = min(rulings, key=_rank)
    asking = spec.items and len(diffs) < spec.scores  # nodes do, when they have time to
    if worst.verdict == "more" and not asking and new.total >= PATIENCE * spec.requests:
        return Ruling(verdict="reject", why=f"not shown to be good enough: {worst.why}")
    if worst.verdict == "accept":
        return Ruling(verdict="accept", why="; ".join(ruling.why for ruling in rulings))
    return worst


def _rank(ruling: Ruling) -> int:
    return _RULINGS.index(ruling.verdict)


def _p90(ordered: Sequence[float], chance: Chance) -> float:
    """The 90th percentile of a resample.

    It is one of the values, and which one is all but normally distributed: so that is drawn, not
    the resample. A sum of twelve uniform numbers is near enough to normal.
    """
    count = len(ordered)
    normal = sum(chance.random() for _ in range(12)) - 6
    place = TAIL + normal * math.sqrt(TAIL * (1 - TAIL) / count)
    return max(1e-9, ordered[min(count - 1, max(0, int(place * count)))])
