"""Declared policies of placement: ranges, and that what they name exists."""

from collections.abc import Iterable

from littoral.control.bounds import refuse, within
from littoral.domain.ids import checked_tag
from littoral.domain.policy import AUTO, PolicySpec
from littoral.domain.resource import Kind

MOST_NAMES = 256
MOST_MISS = 1e9
MOST_SECONDS = 86_400.0


def check_policy(spec: PolicySpec, known: Iterable[tuple[Kind, str]]) -> None:
    """Check a policy.

    Args:
        spec: What was declared.
        known: Kind and name of everything that is, or will be, declared.

    Raises:
        InvalidInput: A value is outside its range, or a deployment or project does not exist.
    """
    within("spec.title", len(spec.title), (0, 200))
    within("spec.total_s", spec.total_s, (0.001, MOST_SECONDS))
    if isinstance(spec.miss_cost, str):
        if spec.miss_cost != AUTO:
            raise refuse("spec.miss_cost", f"{spec.miss_cost!r} is no number; or say auto")
    else:
        within("spec.miss_cost", spec.miss_cost, (0.0, MOST_MISS))
    if spec.miss_cost is not None and spec.total_s is None:
        raise refuse("spec.miss_cost", "there is nothing to miss: give total_s as well")
    _check_match(spec)
    match = spec.match
    there = frozenset(known)
    _named("spec.match.projects", match.projects, kind="Project", known=there)
    _named("spec.deployments", spec.deployments, kind="Deployment", known=there)
    if spec.quality is not None:
        _named("spec.quality.ratings", spec.quality.ratings, kind="Deployment", known=there)
        within("spec.quality.max_loss", spec.quality.max_loss, (0.0, 1.0))
        for name, rating in spec.quality.ratings.items():
            within(f"spec.quality.ratings.{name}", rating, (0.0, 1.0))


def _check_match(spec: PolicySpec) -> None:
    match = spec.match
    every = {
        "projects": match.projects,
        "keys": match.keys,
        "models": match.models,
        "tags": match.tags,
    }
    for field, names in every.items():
        within(f"spec.match.{field}", len(names), (0, MOST_NAMES))
    for tag in match.tags:
        checked_tag(tag.removesuffix("*"), at="spec.match.tags")
    checked_tag(spec.tag, at="spec.tag")
    if spec.tag and match.tags:
        raise refuse("spec.tag", "a policy that goes by tags gives none; match keys or models")


def _named(
    path: str, names: Iterable[str], *, kind: Kind, known: frozenset[tuple[Kind, str]]
) -> None:
    """Refuse names that nothing has; those that end in ``*`` stand for any."""
    for name in names:
        if not name.endswith("*") and (kind, name) not in known:
            there = ", ".join(sorted(each for of, each in known if of == kind)) or "none yet"
            raise refuse(path, f"there is no {kind} {name!r}; known: {there}")
