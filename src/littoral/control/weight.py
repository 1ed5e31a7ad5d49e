"""Weights: obtain what is deployed, drop what nothing declares any more."""

from collections.abc import Iterable
from functools import partial

from littoral.control.check import needs_model, version_of
from littoral.control.desk import Desk
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import Damaged
from littoral.domain.model import ModelSpec, VersionStatus
from littoral.domain.resource import Change, Spec


async def follow(desk: Desk, changes: Iterable[Change]) -> None:
    """Do for weights what changed resources ask for.

    Deploying a model asks for its weights. A version whose source changed is obtained again if it
    ever was; one that is no longer declared, or whose model was deleted, is dropped.
    """
    specs = await desk.workers.state(desk.resources.specs)
    for change in changes:
        spec = specs.get((change.kind, change.name))
        if change.kind == "Model" and _touches_versions(change):
            await _follow_model(desk, change.name, spec)
        if change.kind == "Deployment" and isinstance(spec, DeploymentSpec):
            if change.action == "unchanged" or not needs_model(spec):
                continue
            name = spec.model.partition("@")[0]
            model = specs.get(("Model", name))
            version = version_of(spec, model) if isinstance(model, ModelSpec) else None
            if version is not None:
                desk.obtainer.start(name, version)


def _touches_versions(change: Change) -> bool:
    return change.action == "delete" or any(
        field.startswith("spec.versions") for field in change.fields
    )


async def _follow_model(desk: Desk, name: str, spec: Spec | None) -> None:
    declared = spec.versions if isinstance(spec, ModelSpec) else ()
    by_name = {version.name: version for version in declared}
    known = list(desk.obtainer.statuses())
    for status in known:
        if status.model == name and status.version in by_name:
            desk.obtainer.start(name, by_name[status.version])
        elif status.model == name:
            await _drop(desk, status)


async def _drop(desk: Desk, status: VersionStatus) -> None:
    """Forget a version, and remove its weights unless another version or a node here needs them."""
    desk.obtainer.forget(status.model, status.version)
    if status.artefact is None:
        return
    kept = {
        digest
        for item in desk.obtainer.statuses()
        if item.artefact
        for digest in item.artefact.digests
    }
    try:
        kept |= await desk.workers.files(desk.sweep.beside)
    except Damaged:
        return  # the sweep removes it once it is known what the node here needs
    for digest in status.artefact.digests:
        if digest not in kept:
            await desk.workers.files(partial(desk.blobs.remove, digest))
