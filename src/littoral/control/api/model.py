"""Models: what is here, what could be, obtaining and removing it."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import msgspec

from littoral.control.check import statuses_by_version
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.control.standing import Scene, model_view
from littoral.control.weight import follow
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.model import ModelSpec, VersionSpec, VersionStatus
from littoral.domain.resource import Change
from littoral.domain.view import (
    ApplyRequest,
    CatalogueEntry,
    Document,
    DocumentMetadata,
    ModelView,
    PullRequest,
)


def scene(desk: Desk) -> Scene:
    """Look at everything once; touches the state."""
    return Scene(
        specs=desk.resources.specs(),
        statuses=statuses_by_version(desk.obtainer.statuses()),
        nodes=desk.fleet.nodes(),
        endpoints=desk.fleet.endpoints(),
    )


class ModelApi:
    """Handlers of models and the catalogue."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (*self._reading(), *self._changing())

    def _reading(self) -> Sequence[Route]:
        return (
            Route(
                method="GET",
                path="/api/v1/models",
                handler=self.list,
                policy=Needs("resource.read"),
                summary="All models, how far obtaining them has come, whether they fit.",
                gives=tuple[ModelView, ...],
            ),
            Route(
                method="GET",
                path="/api/v1/models/{name}",
                handler=self.get,
                policy=Needs("resource.read"),
                summary="One model.",
                gives=ModelView,
            ),
            Route(
                method="GET",
                path="/api/v1/catalogue",
                handler=self.catalogue,
                policy=Needs("resource.read"),
                summary="Models that can be pulled by name alone.",
                gives=tuple[CatalogueEntry, ...],
            ),
        )

    def _changing(self) -> Sequence[Route]:
        return (
            Route(
                method="DELETE",
                path="/api/v1/models/{name}",
                handler=self.remove,
                policy=Needs("model.write"),
                summary="Delete a model that nothing uses, and weights no other version has.",
                gives=Change,
            ),
            Route(
                method="POST",
                path="/api/v1/models/{name}/pull",
                handler=self.pull,
                policy=Needs("model.write"),
                summary="Begin to obtain a version; a new model is made from the catalogue.",
                takes=PullRequest,
                gives=VersionStatus,
                status=202,
            ),
            Route(
                method="POST",
                path="/api/v1/models/{name}/cancel",
                handler=self.cancel,
                policy=Needs("model.write"),
                summary="Stop obtaining; what was fetched stays for a later pull.",
                gives=ModelView,
            ),
        )

    async def list(self, call: Call) -> Sequence[ModelView]:
        """All models by name."""
        del call
        seen = await self._desk.workers.state(partial(scene, self._desk))
        return [
            model_view(name, spec, seen)
            for (_, name), spec in sorted(seen.specs.items(), key=lambda item: item[0])
            if isinstance(spec, ModelSpec)
        ]

    async def get(self, call: Call) -> ModelView:
        """One model."""
        seen = await self._desk.workers.state(partial(scene, self._desk))
        name = call.path["name"]
        return model_view(name, _model(seen, name), seen)

    async def remove(self, call: Call) -> Change:
        """Delete a model: its resource first, then what only it had."""
        desk, name = self._desk, call.path["name"]
        gone = await desk.workers.state(partial(desk.resources.delete, "Model", name))
        await follow(desk, [gone])
        desk.bell.ring()
        return gone

    async def pull(self, call: Call) -> VersionStatus:
        """Begin to obtain a version."""
        desk, name = self._desk, call.path["name"]
        request = call.read(PullRequest)
        seen = await desk.workers.state(partial(scene, desk))
        if ("Model", name) not in seen.specs:
            await self._declare(name, request)
            seen = await desk.workers.state(partial(scene, desk))
        version = _version(name, _model(seen, name), request.version)
        desk.obtainer.start(name, version)
        desk.bell.ring()
        statuses = statuses_by_version(desk.obtainer.statuses())
        begun = VersionStatus(model=name, version=version.name, phase="pending")
        return statuses.get((name, version.name), begun)

    async def cancel(self, call: Call) -> ModelView:
        """Stop obtaining every version of a model."""
        desk, name = self._desk, call.path["name"]
        seen = await desk.workers.state(partial(scene, desk))
        for version in _model(seen, name).versions:
            desk.obtainer.cancel(name, version.name)
        return await self.get(call)

    async def catalogue(self, call: Call) -> Sequence[CatalogueEntry]:
        """The catalogue by name."""
        del call
        seen = await self._desk.workers.state(self._desk.resources.specs)
        return [
            CatalogueEntry(name=name, spec=spec, present=("Model", name) in seen)
            for name, spec in sorted(self._desk.catalogue.items())
        ]

    async def _declare(self, name: str, request: PullRequest) -> None:
        """Make a model from the catalogue's entry of that name, or of the name given."""
        entry = self._desk.catalogue.get(request.catalogue or name)
        if entry is None:
            known = ", ".join(sorted(self._desk.catalogue)) or "none"
            wanted = request.catalogue or name
            raise UnknownName(
                f"no model is named {wanted!r} here or in the catalogue; catalogue: {known}"
            )
        document = Document(
            kind="Model",
            metadata=DocumentMetadata(name=name, version=0),
            spec=cast("dict[str, object]", msgspec.to_builtins(entry)),
        )
        apply = partial(self._desk.resources.apply, ApplyRequest(documents=(document,)))
        await self._desk.workers.state(apply)


def _model(seen: Scene, name: str) -> ModelSpec:
    spec = seen.specs.get(("Model", name))
    if not isinstance(spec, ModelSpec):
        known = ", ".join(sorted(name for kind, name in seen.specs if kind == "Model")) or "none"
        raise UnknownName(f"no model is named {name!r}; known: {known}")
    return spec


def _version(name: str, spec: ModelSpec, wanted: str | None) -> VersionSpec:
    if wanted is None:
        return spec.versions[-1]
    for version in spec.versions:
        if version.name == wanted:
            return version
    known = ", ".join(version.name for version in spec.versions)
    raise InvalidInput(f"{name!r} has no version {wanted!r}; known: {known}", param="version")
