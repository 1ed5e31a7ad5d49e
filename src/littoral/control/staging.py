"""Staging: which versions of a deployment run now, and who gets the new one. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, cast

import msgspec

from littoral.control.check import Specs, needs_model, serves_of, version_of
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.ids import DeploymentName, NodeId
from littoral.domain.model import ModelSpec
from littoral.domain.rollout import NEXT, Exam, GoldenItem, RolloutState
from littoral.domain.units import Micros
from littoral.placement.canary import is_chosen

UNDER_WAY: Final = frozenset({"running", "paused"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How far a deployment is: ``stable`` is what serves, ``wanted`` what may follow it.

    ``step`` counts the steps passed; ``since_us`` is when the present one began. ``diffs`` are
    scores of golden items, old minus new, that were posted; ``run`` are those that a node found.
    ``why`` is the last thing that was found.
    """

    stable: DeploymentSpec
    state: RolloutState = "settled"
    wanted: DeploymentSpec | None = None
    step: int = 0
    since_us: Micros = Micros(0)
    diffs: tuple[float, ...] = ()
    run: tuple[float, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """One version to run: under which name, as what; ``share`` is that of a new one."""

    name: str
    spec: DeploymentSpec
    share: float | None = None


def same(one: DeploymentSpec, other: DeploymentSpec) -> bool:
    """Whether two specs run the same thing: where, limits and bounds of rollouts do not count."""
    return _bare(one) == _bare(other)


def pinned(spec: DeploymentSpec, specs: Specs) -> DeploymentSpec:
    """The spec with the version of its model named: what runs must not change by itself."""
    model = specs.get(("Model", spec.model.partition("@")[0]))
    if not needs_model(spec) or not isinstance(model, ModelSpec):
        return spec
    version = version_of(spec, model)
    name = spec.model.partition("@")[0]
    return spec if version is None else replace(spec, model=f"{name}@{version.name}")


def _bare(spec: DeploymentSpec) -> DeploymentSpec:
    return replace(spec, rollout=None, limits=None, where=None)


def followed(kept: Rollout | None, spec: DeploymentSpec, *, now_us: Micros) -> Rollout:
    """What is known of a deployment, given what is declared now."""
    if kept is None or spec.rollout is None or same(spec, kept.stable):
        if kept is not None and kept.stable == spec and kept.state == "settled":
            return kept
        return Rollout(stable=spec)
    if kept.wanted is not None and same(spec, kept.wanted):
        return kept if kept.wanted == spec else _rebound(kept, spec)
    return Rollout(stable=kept.stable, state="running", wanted=spec, since_us=now_us, why="began")


def _rebound(kept: Rollout, spec: DeploymentSpec) -> Rollout:
    """The same rollout within other bounds; scores of other items count no more."""
    after = replace(kept, wanted=spec)
    return after if items_of(after) == items_of(kept) else replace(after, run=())


def items_of(rollout: Rollout) -> tuple[GoldenItem, ...]:
    """The golden items that nodes ask while a rollout is under way."""
    bounds = rollout.wanted.rollout if rollout.wanted else None
    return () if bounds is None or rollout.state not in UNDER_WAY else bounds.items


def run_of(rollout: Rollout) -> str:
    """Names what golden items compare: the same for the same versions and items."""
    versions = [_bare(each) for each in (rollout.stable, rollout.wanted) if each is not None]
    plain = cast("object", msgspec.to_builtins([*versions, items_of(rollout)]))
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()[:16]


def exam_of(name: str, rollout: Rollout) -> Exam | None:
    """What a node that runs both versions shall ask them; None where nothing is left to ask."""
    items = items_of(rollout)
    if len(rollout.run) >= len(items):
        return None
    return Exam(deployment=DeploymentName(name), run=run_of(rollout), items=items)


def share_of(rollout: Rollout) -> float:
    """The share of requests that the new version gets now."""
    wanted = rollout.wanted
    if wanted is None or wanted.rollout is None or rollout.state not in UNDER_WAY:
        return 0.0
    steps = wanted.rollout.steps
    return steps[min(rollout.step, len(steps) - 1)] / 100


def staged(
    name: str, spec: DeploymentSpec, kept: Rollout | None, *, node: NodeId
) -> Iterator[Staged]:
    """The versions of a deployment that a node shall run now.

    Args:
        name: Of the deployment.
        spec: As it is declared.
        kept: What is known of it; None where nothing is.
        node: Whose.
    """
    rollout = followed(kept, spec, now_us=Micros(0)) if kept is not None else Rollout(stable=spec)
    yield Staged(name=name, spec=rollout.stable)
    share = share_of(rollout)
    wanted = rollout.wanted
    if not share or wanted is None or wanted.rollout is None:
        return
    if share >= 1.0 or is_chosen(f"{name} {node}", wanted.rollout.nodes):
        shown = replace(wanted, serves=serves_of(name, rollout.stable))
        yield Staged(name=name + NEXT, spec=shown, share=share)
