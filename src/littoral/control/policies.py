"""Declared policies of placement: which there are, ranges, and that what they name exists."""

import re
from collections.abc import Iterable, Mapping, Sequence

from littoral.control.bounds import refuse, within
from littoral.domain.ids import checked_tag
from littoral.domain.policy import AUTO, Audits, Cascade, Judge, JudgeKind, Policy, PolicySpec
from littoral.domain.resource import Kind, Spec
from littoral.trust import pattern, shape

MOST_NAMES = 256
MOST_MISS = 1e9
MOST_SECONDS = 86_400.0
MOST_AUDITS = 6000
MOST_PATTERN = 4096
_TAKES: Mapping[JudgeKind, tuple[str, ...]] = {
    "exact": (),
    "test": ("pattern", "answer", "schema"),
    "model": ("deployment",),
    "vote": (),
}
"""The fields that each kind of judge reads."""
MOST_TEXT = 1024
"""Letters of one of the texts that an answer may be."""


def policies_of(specs: Mapping[tuple[Kind, str], Spec]) -> Sequence[Policy]:
    """The policies among what is declared, by name."""
    return [
        Policy(name=name, spec=spec)
        for (_, name), spec in sorted(specs.items(), key=lambda each: each[0])
        if isinstance(spec, PolicySpec)
    ]


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
    if spec.cascade is not None:
        _check_cascade(spec, spec.cascade, there)
    if spec.quality is not None:
        _named("spec.quality.ratings", spec.quality.ratings, kind="Deployment", known=there)
        within("spec.quality.max_loss", spec.quality.max_loss, (0.0, 1.0))
        for name, rating in spec.quality.ratings.items():
            within(f"spec.quality.ratings.{name}", rating, (0.0, 1.0))
        if spec.quality.audits is not None:
            _audits(spec, spec.quality.audits, there)


def _audits(spec: PolicySpec, audits: Audits, known: frozenset[tuple[Kind, str]]) -> None:
    """Check which deployments are compared, and by whom: all of them within what is allowed."""
    path, judge = "spec.quality.audits", audits.judge
    pair = {"reference": audits.reference, "candidate": audits.candidate}
    asked = pair | ({"judge.deployment": judge.deployment} if judge.kind == "model" else {})
    for field, name in asked.items():
        _named(f"{path}.{field}", (name,), kind="Deployment", known=known)
        if spec.deployments and name not in spec.deployments:
            raise refuse(f"{path}.{field}", f"{name!r} is not among spec.deployments")
    if audits.reference == audits.candidate:
        raise refuse(f"{path}.candidate", "it is the reference, too: name the cheaper one")
    within(f"{path}.per_minute", audits.per_minute, (1, MOST_AUDITS))
    within(f"{path}.off", len(audits.off), (0, MOST_NAMES))
    _judge(f"{path}.judge", judge)


def _judge(path: str, judge: Judge) -> None:
    given = {
        "pattern": bool(judge.pattern),
        "answer": bool(judge.answer),
        "schema": bool(judge.schema),
        "deployment": bool(judge.deployment),
    }
    taken = _TAKES[judge.kind]
    for field in (each for each, is_given in given.items() if is_given and each not in taken):
        raise refuse(f"{path}.{field}", f"a judge of kind {judge.kind} has no {field}")
    if taken and not any(given[field] for field in taken):
        raise refuse(path, f"a judge of kind {judge.kind} needs {' or '.join(taken)}")
    within(f"{path}.pattern", len(judge.pattern), (0, MOST_PATTERN))
    within(f"{path}.answer", len(judge.answer), (0, MOST_PATTERN))
    try:
        re.compile(judge.pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise refuse(f"{path}.pattern", f"it is no regular expression: {error}") from error
    pattern.check(judge.pattern, path=f"{path}.pattern")
    shape.check(judge.schema, path=f"{path}.schema")


def _check_cascade(spec: PolicySpec, cascade: Cascade, there: frozenset[tuple[Kind, str]]) -> None:
    both = (cascade.first, cascade.then)
    for field, name in zip(("first", "then"), both, strict=True):
        _named(f"spec.cascade.{field}", (name,), kind="Deployment", known=there, exact=True)
    if cascade.first == cascade.then:
        raise refuse("spec.cascade.then", "it is the same deployment as the first one")
    if spec.deployments and not set(both) <= set(spec.deployments):
        raise refuse("spec.cascade", "spec.deployments must list both of its deployments")
    within("spec.cascade.below", cascade.below, (0.0, 1.0))
    within("spec.cascade.answers", len(cascade.answers), (0, MOST_NAMES))
    for text in cascade.answers:
        within("spec.cascade.answers", len(text), (0, MOST_TEXT))
    if cascade.below is None and not cascade.answers and cascade.schema is None:
        raise refuse("spec.cascade", "say what is not good enough: below, answers or schema")
    if cascade.schema is not None:
        shape.check(cascade.schema, path="spec.cascade.schema")


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
    path: str,
    names: Iterable[str],
    *,
    kind: Kind,
    known: frozenset[tuple[Kind, str]],
    exact: bool = False,
) -> None:
    """Refuse names that nothing has; those that end in ``*`` stand for any, unless ``exact``."""
    for name in names:
        if (exact or not name.endswith("*")) and (kind, name) not in known:
            there = ", ".join(sorted(each for of, each in known if of == kind)) or "none yet"
            raise refuse(path, f"there is no {kind} {name!r}; known: {there}")
