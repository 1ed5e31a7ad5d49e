"""Compiler: desired state for one node, as a pure function of what control holds.

The same content gives the same version, whatever the order in which it was declared; other content
gives the next version. An assignment's revision is the version in which it last changed.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from littoral.control.check import Specs, Statuses, needs_model, serves_of, version_of
from littoral.control.policies import policies_of
from littoral.control.staging import Rollout, exam_of, followed, pinned, staged
from littoral.domain.audit import Standing
from littoral.domain.deployment import (
    FORMATS,
    Assignment,
    DeploymentSpec,
    UpstreamGrant,
    UpstreamSpec,
)
from littoral.domain.ids import DeploymentName, NodeId, ProjectId
from littoral.domain.life import EXTEND_US
from littoral.domain.limits import NO_LIMITS, Limits, limit_ids
from littoral.domain.model import Artefact, ModelSpec
from littoral.domain.prior import FleetPrior
from littoral.domain.project import KEEPING, Keeping, KeyGrant, ProjectSpec
from littoral.domain.reach import Spot
from littoral.domain.rollout import NEXT, Exam
from littoral.domain.selector import Position, selects
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros

HOME = Position()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """Everything a snapshot is made from; upstream credentials opened.

    ``position`` is the node's; ``signers`` are the public keys whose snapshots nodes take, by id;
    ``life_us`` is how long a snapshot holds, None for ever.
    """

    epoch: int
    pepper: bytes
    keys: Sequence[KeyGrant]
    specs: Specs
    statuses: Statuses
    rollouts: Mapping[str, Rollout] = field(default_factory=dict[str, Rollout])
    key_limits: Mapping[str, Limits] = field(default_factory=dict[str, Limits])
    cluster: str = ""
    position: Position = HOME
    signers: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    life_us: int | None = None
    neighbours: Mapping[NodeId, Spot] = field(default_factory=dict[NodeId, Spot])
    standings: Sequence[Standing] = ()
    priors: Mapping[str, FleetPrior] = field(default_factory=dict[str, FleetPrior])


@dataclass(frozen=True, slots=True, kw_only=True)
class Memo:
    """What the last compilation for a node left: versions and digests, no content."""

    epoch: int = 0
    version: int = 0
    digest: str = ""
    revisions: Mapping[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    issued_us: Micros = Micros(0)
    not_after_us: Micros | None = None


def compile_snapshot(
    desired: Desired, *, node: NodeId, issued_us: Micros, memo: Memo
) -> tuple[Snapshot, Memo]:
    """Compile the snapshot of one node.

    Args:
        desired: What control holds.
        node: For whom.
        issued_us: Stamped on it where it is new; no part of its content.
        memo: From the last compilation for this node; a new one for a new node.

    Returns:
        The snapshot, and the memo to keep. Unchanged content returns ``memo`` itself, unless the
        snapshot's life is to be extended: then it is a new version of the same content.
    """
    keys = tuple(sorted(desired.keys, key=lambda grant: grant.id))
    bare = tuple(_assignments(desired, node))
    digests: dict[str, str] = {item.name: _digest(item) for item in bare}
    traffic = tuple(_traffic(desired.specs))
    limits, keeping = _limits(desired), _keeping(desired.specs)
    neighbours = dict(sorted(desired.neighbours.items()))
    policies, standings = tuple(policies_of(desired.specs)), tuple(desired.standings)
    served = [desired.pepper, keys, bare, traffic, limits, keeping, neighbours, policies, standings]
    trust = [desired.signers, desired.life_us, desired.position.site]
    exams = tuple(_exams(desired, bare))
    digest = _digest([*served, *trust, *filter(None, (desired.priors, exams))])
    aged = desired.life_us is not None and issued_us - memo.issued_us >= EXTEND_US
    if aged or (memo.epoch, memo.digest) != (desired.epoch, digest):
        version = memo.version + 1
        revisions = {
            name: _revision(memo.revisions.get(name), digests[name], version) for name in digests
        }
        memo = Memo(
            epoch=desired.epoch,
            version=version,
            digest=digest,
            revisions=revisions,
            issued_us=issued_us,
            not_after_us=_end(issued_us, desired.life_us),
        )
    snapshot = Snapshot(
        epoch=memo.epoch,
        version=memo.version,
        issued_us=memo.issued_us,
        node=node,
        pepper=desired.pepper,
        keys=keys,
        limits=limits,
        assignments=tuple(replace(item, revision=memo.revisions[item.name][0]) for item in bare),
        traffic=traffic,
        keeping=keeping,
        cluster=desired.cluster,
        site=desired.position.site,
        not_after_us=_end(memo.issued_us, desired.life_us),
        signers=desired.signers,
        neighbours=neighbours,
        policies=policies,
        standings=standings,
        priors=desired.priors,
        exams=exams,
    )
    return snapshot, memo


def _end(issued_us: Micros, life_us: int | None) -> Micros | None:
    return None if life_us is None else Micros(issued_us + life_us)


def _keeping(specs: Specs) -> Mapping[ProjectId, Keeping]:
    """How responses are kept, of those projects that do not keep them as usual."""
    found = (
        (ProjectId(name), spec.responses)
        for (_, name), spec in sorted(specs.items())
        if isinstance(spec, ProjectSpec)
    )
    return {name: keeping for name, keeping in found if keeping != KEEPING}


def without_secrets(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot as people may see it: no pepper, no MACs, no credentials."""
    return replace(
        snapshot,
        pepper=b"",
        keys=tuple(replace(grant, mac=b"") for grant in snapshot.keys),
        assignments=tuple(
            replace(item, upstream=replace(item.upstream, credential=None))
            if item.upstream
            else item
            for item in snapshot.assignments
        ),
    )


def assignment_of(name: str, specs: Specs, statuses: Statuses) -> Assignment | None:
    """What a node is told of one deployment, its revision still 0; None where there is none."""
    spec = specs.get(("Deployment", name))
    if not isinstance(spec, DeploymentSpec):
        return None
    upstream = specs.get(("Upstream", spec.upstream)) if spec.upstream else None
    grant = None
    if spec.upstream and isinstance(upstream, UpstreamSpec):
        grant = UpstreamGrant(name=spec.upstream, url=upstream.url, credential=upstream.credential)
    return Assignment(
        name=DeploymentName(name),
        revision=0,
        serves=serves_of(name, spec),
        engine=spec.engine,
        model=spec.model,
        artefact=artefact_of(spec, specs, statuses),
        upstream=grant,
        slots=spec.slots,
        context=spec.context,
        max_tokens=spec.max_tokens,
        first_token_ms=spec.first_token_ms,
        price_in=spec.price_in,
        price_out=spec.price_out,
        options=dict(sorted(spec.options.items())),
    )


def artefact_of(spec: DeploymentSpec, specs: Specs, statuses: Statuses) -> Artefact | None:
    """The verified weights of a deployment's version, once they are there."""
    name = spec.model.partition("@")[0]
    model = specs.get(("Model", name))
    if not needs_model(spec) or not isinstance(model, ModelSpec):
        return None
    version = version_of(spec, model)
    status = statuses.get((name, version.name)) if version else None
    return status.artefact if status and status.phase == "ready" else None


def _assignments(desired: Desired, node: NodeId) -> Iterator[Assignment]:
    """What a node runs; a new version begins once its weights are there."""
    for (kind, name), spec in sorted(desired.specs.items(), key=lambda each: each[0]):
        if not isinstance(spec, DeploymentSpec) or not selects(spec.where, desired.position):
            continue
        kept = desired.rollouts.get(name) if spec.rollout is not None else None
        now = spec if kept is None else pinned(spec, desired.specs)
        for each in staged(name, now, kept, node=node):
            specs: Specs = {**desired.specs, (kind, each.name): each.spec}
            assignment = assignment_of(each.name, specs, desired.statuses)
            if assignment is None or (each.name != name and _is_waiting(assignment)):
                continue
            yield replace(assignment, share=each.share)


def _exams(desired: Desired, told: Sequence[Assignment]) -> Iterator[Exam]:
    """What a node that runs a new version asks it and the old one."""
    for each in told:
        name = each.name.removesuffix(NEXT)
        kept, spec = desired.rollouts.get(name), desired.specs.get(("Deployment", name))
        if each.share is None or kept is None or not isinstance(spec, DeploymentSpec):
            continue
        rollout = followed(kept, pinned(spec, desired.specs), now_us=Micros(0))
        exam = exam_of(name, rollout)
        if exam is not None:
            yield exam


def _is_waiting(assignment: Assignment) -> bool:
    return assignment.engine in FORMATS and assignment.artefact is None


def _traffic(specs: Specs) -> Iterator[TrafficGrant]:
    """The settings of projects that have any."""
    for (kind, name), spec in sorted(specs.items()):
        if kind == "Project" and isinstance(spec, ProjectSpec):
            grant = TrafficGrant(
                project=ProjectId(name),
                weight=spec.weight,
                priority=spec.priority,
                cache=spec.cache,
                brownout=spec.brownout,
                hedge=spec.hedge,
                guard=spec.guard,
                residency=spec.residency,
            )
            if grant != TrafficGrant(project=grant.project):
                yield grant


def _limits(desired: Desired) -> Mapping[str, Limits]:
    """The limits of keys, projects and served names, by limit id."""
    found = {limit_ids(key, "", "")[0]: each for key, each in desired.key_limits.items()}
    for (kind, name), spec in sorted(desired.specs.items()):
        if isinstance(spec, ProjectSpec) and spec.limits:
            found[limit_ids("", name, "")[1]] = spec.limits
        if kind == "Deployment" and isinstance(spec, DeploymentSpec) and spec.limits:
            found[limit_ids("", "", serves_of(name, spec))[2]] = spec.limits
    return {name: each for name, each in sorted(found.items()) if each != NO_LIMITS}


def _revision(old: tuple[int, str] | None, digest: str, version: int) -> tuple[int, str]:
    return old if old is not None and old[1] == digest else (version, digest)


def _digest(content: object) -> str:
    plain = cast("object", msgspec.to_builtins(content))
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()
