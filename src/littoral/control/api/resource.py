"""Resources: apply, list, get, delete."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import msgspec

from littoral.control.apply import KINDS
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.control.weight import follow
from littoral.domain.errors import UnknownName
from littoral.domain.resource import Change, Kind, Resource
from littoral.domain.view import ApplyRequest, Changes, Document, DocumentMetadata


class ResourceApi:
    """Handlers of declared resources."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="POST",
                path="/api/v1/apply",
                handler=self.apply,
                policy=Needs("resource.write"),
                summary="Make documents true, or say what that would do.",
                takes=ApplyRequest,
                gives=Changes,
            ),
            Route(
                method="GET",
                path="/api/v1/resources/{kind}",
                handler=self.list,
                policy=Needs("resource.read"),
                summary="All resources of a kind, by name.",
                gives=tuple[Document, ...],
            ),
            Route(
                method="GET",
                path="/api/v1/resources/{kind}/{name}",
                handler=self.get,
                policy=Needs("resource.read"),
                summary="One resource.",
                gives=Document,
            ),
            Route(
                method="DELETE",
                path="/api/v1/resources/{kind}/{name}",
                handler=self.delete,
                policy=Needs("resource.write"),
                summary="Delete one resource that nothing uses.",
                gives=Change,
            ),
        )

    async def apply(self, call: Call) -> Changes:
        """Apply documents, and begin to obtain what deployments newly need."""
        desk = self._desk
        request = call.read(ApplyRequest)
        changes = await desk.workers.state(partial(desk.resources.apply, request))
        if not request.dry_run:
            desk.bell.ring()
            await follow(desk, changes.changes)
        return changes

    async def list(self, call: Call) -> Sequence[Document]:
        """All of a kind."""
        kind = _kind(call)
        found = await self._desk.workers.state(partial(self._desk.resources.list, kind))
        return [document_of(resource) for resource in found]

    async def get(self, call: Call) -> Document:
        """One resource."""
        kind, name = _kind(call), call.path["name"]
        get = partial(self._desk.resources.get, kind, name)
        return document_of(await self._desk.workers.state(get))

    async def delete(self, call: Call) -> Change:
        """Delete one resource."""
        desk, kind = self._desk, _kind(call)
        gone = await desk.workers.state(partial(desk.resources.delete, kind, call.path["name"]))
        await follow(desk, [gone])
        desk.bell.ring()
        return gone


def document_of(resource: Resource) -> Document:
    """A resource as it goes out, and may be applied again."""
    return Document(
        kind=resource.kind,
        metadata=DocumentMetadata(
            name=resource.metadata.name, labels=dict(resource.metadata.labels)
        ),
        spec=cast("dict[str, object]", msgspec.to_builtins(resource.spec)),
        version=resource.version,
        created_us=resource.created_us,
        updated_us=resource.updated_us,
    )


def _kind(call: Call) -> Kind:
    given = call.path["kind"]
    if given not in KINDS:
        raise UnknownName(f"no kind {given!r}; known: {', '.join(sorted(KINDS))}", param="kind")
    return cast("Kind", given)
