"""Standing: how what runs compares with what was declared, said in sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from littoral.control.check import Specs, Statuses, needs_model, serves_of, users_of, version_of
from littoral.control.compiler import artefact_of
from littoral.control.place import position_of
from littoral.cost.memory import fit
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.endpoint import Endpoint, Fit, Machine
from littoral.domain.ids import DeploymentName, ModelName
from littoral.domain.model import ModelSpec, VersionSpec, VersionStatus
from littoral.domain.node import GONE, Node
from littoral.domain.resource import Resource
from littoral.domain.selector import selects, shown
from littoral.domain.view import (
    DeploymentPhase,
    DeploymentView,
    ModelView,
    PlacedEndpoint,
    VersionView,
)

_DEAD = {"degraded", "failed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One consistent look at everything."""

    specs: Specs
    statuses: Statuses
    nodes: Sequence[Node]
    endpoints: Sequence[PlacedEndpoint]

    @property
    def machine(self) -> Machine | None:
        """The machine that fits are said for: the connected one with the most free memory."""
        known = [node.status.machine for node in self.nodes if node.status and _here(node)]
        return max(known, key=lambda machine: machine.memory_free, default=None)


def deployment_view(resource: Resource, scene: Scene) -> DeploymentView | None:
    """One deployment; None where the resource is something else."""
    spec = resource.spec
    if not isinstance(spec, DeploymentSpec):
        return None
    name = resource.metadata.name
    placed = tuple(item for item in scene.endpoints if item.endpoint.deployment == name)
    phase = _phase([item.endpoint.state for item in placed])
    meant = replace(scene, nodes=_meant(spec, scene))
    said = _fit(spec, meant) if phase != "ready" else None
    return DeploymentView(
        name=DeploymentName(name),
        serves=serves_of(name, spec),
        spec=spec,
        version=resource.version,
        phase=phase,
        why=(_why(phase, placed) or _why_pending(spec, meant, said)) + _why_not_all(meant),
        endpoints=placed,
        fit=said,
    )


def _meant(spec: DeploymentSpec, scene: Scene) -> Sequence[Node]:
    """The nodes that a deployment is for."""
    return [
        node
        for node in scene.nodes
        if node.mark not in GONE and selects(spec.where, position_of(node))
    ]


def _why_not_all(meant: Scene) -> str:
    """Which of the nodes that it is for are away, where others are not."""
    away = [node.name for node in meant.nodes if not _here(node)]
    return f"; not connected: {', '.join(away)}" if 0 < len(away) < len(meant.nodes) else ""


def model_view(name: str, spec: ModelSpec, scene: Scene) -> ModelView:
    """One model: what is here of it, whether it would fit, who uses it."""
    users = users_of("Model", name, scene.specs)
    return ModelView(
        name=ModelName(name),
        description=spec.description,
        versions=tuple(_version_view(name, version, scene) for version in spec.versions),
        deployments=tuple(DeploymentName(user) for user in users),
    )


def _version_view(name: str, version: VersionSpec, scene: Scene) -> VersionView:
    status = scene.statuses.get((name, version.name))
    return VersionView(spec=version, status=status, fit=_version_fit(name, status, scene))


def _version_fit(name: str, status: VersionStatus | None, scene: Scene) -> Fit | None:
    """Whether it would fit; not said of weights that are loaded: they are part of what is used."""
    loaded = {item.endpoint.deployment for item in scene.endpoints}
    machine = scene.machine
    if machine is None or status is None or status.artefact is None:
        return None
    if loaded.intersection(users_of("Model", name, scene.specs)):
        return None
    return fit(status.artefact, machine, slots=None, context=None)


def _fit(spec: DeploymentSpec, scene: Scene) -> Fit | None:
    artefact = artefact_of(spec, scene.specs, scene.statuses)
    machine = scene.machine
    if artefact is None or machine is None:
        return None
    return fit(artefact, machine, slots=spec.slots, context=spec.context)


def _here(node: Node) -> bool:
    return node.state in {"joined", "connected", "suspect"}


def _phase(states: Sequence[str]) -> DeploymentPhase:
    """What the endpoints come to; one that starts or drains beside a ready one is no fault."""
    dead = [state for state in states if state in _DEAD]
    if "ready" in states:
        return "degraded" if dead else "ready"
    return "failed" if dead and len(dead) == len(states) else "pending"


def _why(phase: DeploymentPhase, placed: Sequence[PlacedEndpoint]) -> str:
    """What the endpoints say; empty where the declaration must be asked."""
    if phase == "ready":
        nodes = {item.node for item in placed if item.endpoint.state == "ready"}
        return f"ready on {len(nodes)} node(s)"
    return "; ".join(_said(item.endpoint) for item in placed if item.endpoint.state != "ready")


def _said(endpoint: Endpoint) -> str:
    reason = f": {endpoint.reason}" if endpoint.reason else ""
    return f"{endpoint.id} is {endpoint.state}{reason}"


def _why_pending(spec: DeploymentSpec, scene: Scene, said: Fit | None) -> str:
    waiting = _why_no_weights(spec, scene)
    if waiting:
        return waiting
    if not scene.nodes and spec.where is not None:
        return f"there is no node for it yet; it is for: {shown(spec.where)}"
    if not any(_here(node) for node in scene.nodes):
        return "no node is connected yet"
    if said is not None and not said.fits:
        return f"the model does not fit the memory: {said.advice}"
    return "the node is starting it"


def _why_no_weights(spec: DeploymentSpec, scene: Scene) -> str:
    """Why the weights are not here yet; empty where they are, or none are needed."""
    name = spec.model.partition("@")[0]
    model = scene.specs.get(("Model", name))
    version = version_of(spec, model) if isinstance(model, ModelSpec) else None
    if not needs_model(spec) or version is None:
        return ""
    status = scene.statuses.get((name, version.name))
    label = f"{name}@{version.name}"
    if status is None:
        return f"{label} is not here yet; fetch it with: littoral models pull {name}"
    sentences: Mapping[str, str] = {
        "pending": f"{label} waits to be fetched",
        "fetching": f"{label} is being fetched: {_progress(status)}",
        "checking": f"{label} is being checked",
        "ready": "",
        "failed": f"{label} could not be fetched: {status.error or 'no reason was given'}",
    }
    return sentences[status.phase]


def _progress(status: VersionStatus) -> str:
    done = f"{status.done / 1e6:.0f} MB"
    return done if status.total is None else f"{done} of {status.total / 1e6:.0f} MB"
