"""Policies: which one holds for a request, and what it means for the candidates."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from littoral.domain.audit import Standing
from littoral.domain.policy import AUTO, Match, Policy, PolicySpec, Quality, Worth
from littoral.domain.rollout import NEXT

TIMES: Final = 30.0
"""A miss that prices itself costs so many requests at the dearest place."""
FREE_MISS: Final = 1.0
"""The same where every place is free."""


class Asker(NamedTuple):
    """Whose request it is, for which model, and of what kind: the key's tag, empty for none."""

    project: str
    key: str
    model: str
    tag: str = ""


def holding(policies: Iterable[Policy], asker: Asker) -> Policy | None:
    """Return the policy that holds for a request: the most particular one, then the first by name.

    Checked by: tests/unit/placement/test_policy.py.
    """
    found = [each for each in policies if covers(each.spec.match, asker)]
    return min(found, key=_rank, default=None)


def tagged(policies: Iterable[Policy], asker: Asker) -> Asker:
    """Return who asks with the tag of the request: the key's, else what a policy says.

    Of several policies that give a tag the one does that would hold.

    Checked by: tests/unit/placement/test_policy.py.
    """
    if asker.tag:
        return asker
    found = holding((each for each in policies if each.spec.tag), asker)
    return asker if found is None else asker._replace(tag=found.spec.tag)


def _rank(policy: Policy) -> tuple[bool, bool, bool, bool, str]:
    match = policy.spec.match
    return not match.keys, not match.tags, not match.projects, not match.models, policy.name


def covers(match: Match, asker: Asker) -> bool:
    """Return whether a policy is for a request.

    Checked by: tests/unit/placement/test_policy.py.
    """
    return (
        is_whose(match, asker.project, asker.key)
        and _named(match.models, asker.model)
        and _tagged(match.tags, asker.tag)
    )


def is_whose(match: Match, project: str, key: str) -> bool:
    """Return whether a policy is for requests of a key, for some models at least.

    Checked by: tests/unit/placement/test_policy.py.
    """
    return _named(match.projects, project) and _named(match.keys, key)


def _tagged(patterns: Sequence[str], tag: str) -> bool:
    return not patterns or (bool(tag) and _named(patterns, tag))


def _named(patterns: Sequence[str], name: str) -> bool:
    if not patterns:
        return True
    return any(
        name.startswith(each[:-1]) if each.endswith("*") else name == each for each in patterns
    )


def barred(
    spec: PolicySpec,
    deployments: Sequence[str],
    *,
    tag: str = "",
    standing: Standing | None = None,
) -> int:
    """Return which candidates may not be asked, one bit each.

    Args:
        spec: The policy.
        deployments: The deployment of each candidate, in order.
        tag: The request's.
        standing: What audits say, if there are any.

    Checked by: tests/unit/placement/test_policy.py.
    """
    mask = 0
    for at, name in enumerate(deployments):
        listed = not spec.deployments or name in spec.deployments
        held = is_held(spec.quality, name, deployments, tag=tag, standing=standing)
        good = good_enough(spec.quality, name, deployments) if held is None else not held
        if not listed or not good:
            mask |= 1 << at
    return mask


def is_held(
    quality: Quality | None,
    name: str,
    deployments: Sequence[str],
    *,
    tag: str,
    standing: Standing | None,
) -> bool | None:
    """Return whether audits keep a tag from a deployment; None where they say nothing of that.

    A new version of a deployment, which runs beside it, counts as the deployment.

    Checked by: tests/unit/placement/test_policy.py.
    """
    audits = None if quality is None else quality.audits
    if audits is None or standing is None or not standing.decided or tag in audits.off:
        return None
    known = {each.removesuffix(NEXT) for each in deployments}
    if audits.reference not in known:
        return None
    base = name.removesuffix(NEXT)
    if base == audits.reference:
        return False
    return tag not in standing.tags if base == audits.candidate else None


def good_enough(quality: Quality | None, name: str, deployments: Sequence[str]) -> bool:
    """Return whether a deployment's rating is near enough to that of the best one there.

    Checked by: tests/unit/placement/test_policy.py.
    """
    if quality is None or name not in quality.ratings:
        return True
    rated = [quality.ratings[each] for each in deployments if each in quality.ratings]
    return quality.ratings[name] >= max(rated) - quality.max_loss - 1e-12


def others(deployments: Sequence[str], name: str) -> int:
    """Return which candidates are not of a deployment, one bit each.

    A new version of a deployment, which runs beside it, counts as the deployment.

    Checked by: tests/unit/placement/test_policy.py.
    """
    return sum(1 << at for at, each in enumerate(deployments) if each.removesuffix(NEXT) != name)


def has_slack(first_p90: float, then_p90: float, left_s: float) -> bool:
    """Return whether one answer and then another one come in time, both by their bounds.

    Args:
        first_p90: Seconds within which nine of ten first answers are there.
        then_p90: The same of the second ones.
        left_s: Seconds until the deadline; ``inf`` for none.

    Source: a cascade pays only where the deadline is no less than the sum of both p90.
    Checked by: tests/unit/placement/test_policy.py.
    """
    return first_p90 + then_p90 <= left_s


def price_of(worth: Worth | None, dearest: float) -> float:
    """Return what a miss costs; 0 where it has no price.

    Args:
        worth: As declared.
        dearest: What a request costs at the dearest candidate.

    Checked by: tests/unit/placement/test_policy.py.
    """
    if worth is None:
        return 0.0
    if worth == AUTO:
        return TIMES * dearest if dearest > 0.0 else FREE_MISS
    return float(worth)
