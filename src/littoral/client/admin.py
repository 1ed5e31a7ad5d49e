"""Admin: every operation of the admin API as a method, in records of the domain."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from littoral.client.caller import Caller
from littoral.domain.audit import QualityView
from littoral.domain.blob import StoreView
from littoral.domain.chunk import ChunkPage
from littoral.domain.enrolment import Invitation, Invited, RootView, Rotation
from littoral.domain.errors import ControlUnreachable
from littoral.domain.ids import KeyId, NodeId
from littoral.domain.model import VersionStatus
from littoral.domain.news import NumberedEvent
from littoral.domain.node import Node
from littoral.domain.outbox import Rollup
from littoral.domain.prior import PredictorView
from littoral.domain.project import Key
from littoral.domain.resource import SPECS, Change, Kind, Metadata, Resource
from littoral.domain.rollout import RolloutAct
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.domain.upkeep import Done, ErrandRequest, LabelRequest, MarkRequest, Verb
from littoral.domain.usage import UsageRecord, UsageSum
from littoral.domain.view import (
    CatalogueEntry,
    Changes,
    DeltaRequest,
    DeltaView,
    DeploymentView,
    Document,
    KeyChange,
    KeyRequest,
    MintedKey,
    ModelView,
    Overview,
    PullRequest,
    RequestRecords,
    RolloutView,
    RolloutWish,
    Scores,
    ShareView,
    UsageRows,
)

T = TypeVar("T")


class Admin(Caller):
    """A client of the admin API; ``ControlUnreachable`` where nobody answers."""

    below = "/api/v1"
    who = "Littoral's control"
    away = ControlUnreachable

    def status(self) -> Overview:
        """Control in one look."""
        return self._get("/status", Overview)

    def apply(
        self, documents: Sequence[Mapping[str, object]], *, dry_run: bool = False
    ) -> list[Change]:
        """Make documents true, or say what that would do."""
        body = {"documents": documents, "dry_run": dry_run}
        return list(self._post("/apply", body, Changes).changes)

    def resources(self, kind: Kind) -> list[Resource]:
        """All resources of a kind."""
        return [_resource(item) for item in self._items(f"/resources/{kind}", Document)]

    def resource(self, kind: Kind, name: str) -> Resource:
        """One resource."""
        return _resource(self._get(f"/resources/{kind}/{_part(name)}", Document))

    def delete(self, kind: Kind, name: str) -> Change:
        """Delete one resource."""
        return self.call("DELETE", f"/resources/{kind}/{_part(name)}", Change)

    def keys(self) -> list[Key]:
        """All keys, oldest first."""
        return self._items("/keys", Key)

    def create_key(self, request: KeyRequest) -> MintedKey:
        """Mint a key; its text is in the answer, this once."""
        return self._post("/keys", request, MintedKey)

    def tag_key(self, key: KeyId, tag: str) -> Key:
        """Give a key another tag; an empty one takes it away."""
        return self.call("PATCH", f"/keys/{_part(key)}", Key, body=KeyChange(tag=tag))

    def revoke_key(self, key: KeyId) -> Key:
        """Revoke a key."""
        return self.call("DELETE", f"/keys/{_part(key)}", Key)

    def models(self) -> list[ModelView]:
        """All models with their versions."""
        return self._items("/models", ModelView)

    def model(self, name: str) -> ModelView:
        """One model with its versions."""
        return self._get(f"/models/{_part(name)}", ModelView)

    def remove_model(self, name: str) -> Change:
        """Delete a model and the weights that no other version uses."""
        return self.call("DELETE", f"/models/{_part(name)}", Change)

    def pull(self, name: str, request: PullRequest) -> VersionStatus:
        """Begin to obtain a version of a model; returns at once."""
        return self._post(f"/models/{_part(name)}/pull", request, VersionStatus)

    def cancel_pull(self, name: str) -> ModelView:
        """Stop obtaining a model's versions."""
        return self._post(f"/models/{_part(name)}/cancel", None, ModelView)

    def delta(self, parent: str, child: str) -> DeltaView:
        """The delta between two versions, ``model@version``, made where it is not there."""
        return self._post("/deltas", DeltaRequest(parent=parent, child=child), DeltaView)

    def store(self) -> StoreView:
        """What control's store of blobs holds, and what of it nothing refers to."""
        return self._get("/blobs", StoreView)

    def prune_store(self) -> StoreView:
        """Remove what nothing has referred to for a day."""
        return self._post("/blobs/prune", None, StoreView)

    def catalogue(self) -> list[CatalogueEntry]:
        """The models that can be pulled by name alone."""
        return self._items("/catalogue", CatalogueEntry)

    def rollouts(self) -> list[RolloutView]:
        """Changed deployments on their way to everybody."""
        return self._items("/rollouts", RolloutView)

    def shares(self, *, node: str | None = None, limit: str | None = None) -> list[ShareView]:
        """What nodes may use of limits, and have used."""
        return self._items("/shares", ShareView, query={"node": node, "limit": limit})

    def quality(self) -> list[QualityView]:
        """What audits say of each policy."""
        return self._items("/quality", QualityView)

    def rollout(self, name: str, act: RolloutAct) -> RolloutView:
        """Pause, resume, undo or promote a rollout."""
        return self._post(f"/rollouts/{_part(name)}", RolloutWish(act=act), RolloutView)

    def score(self, name: str, scores: Scores) -> RolloutView:
        """Give scores of golden items for both versions of a deployment."""
        return self._post(f"/rollouts/{_part(name)}/scores", scores, RolloutView)

    def deployments(self) -> list[DeploymentView]:
        """All deployments: what was declared and what runs."""
        return self._items("/deployments", DeploymentView)

    def nodes(self) -> list[Node]:
        """All nodes with their states."""
        return self._items("/nodes", Node)

    def node(self, node: NodeId) -> Node:
        """One node."""
        return self._get(f"/nodes/{_part(node)}", Node)

    def metrics(
        self, node: str, *, since_us: int | None = None, until_us: int | None = None
    ) -> list[Rollup]:
        """What a node, by id or name, measured of itself in a range of time, oldest first."""
        query = {"since": since_us, "until": until_us}
        return self._items(f"/nodes/{_part(node)}/metrics", Rollup, query=query)

    def invite(self, wanted: Invitation) -> Invited:
        """Make a join token; its text is in the answer, this once."""
        return self._post("/invitations", wanted, Invited)

    def mark(self, node: str, mark: Literal["", "cordoned", "draining"]) -> Node:
        """Cordon or drain a node, or neither."""
        return self._post(f"/nodes/{_part(node)}/mark", MarkRequest(mark=mark), Node)

    def label(self, node: str, labels: Mapping[str, str]) -> Node:
        """Give a node labels; an empty value takes one away."""
        return self._post(f"/nodes/{_part(node)}/labels", LabelRequest(labels=labels), Node)

    def errand(self, node: str, verb: Verb, **args: str) -> Done:
        """Have a connected node do something, and return what came of it."""
        return self._post(f"/nodes/{_part(node)}/do", ErrandRequest(verb=verb, args=args), Done)

    def revoke_node(self, node: str) -> Node:
        """Let a node speak to control never again."""
        return self._post(f"/nodes/{_part(node)}/revoke", None, Node)

    def remove_node(self, node: str) -> Node:
        """Forget a node that is not connected."""
        return self.call("DELETE", f"/nodes/{_part(node)}", Node)

    def roots(self) -> list[RootView]:
        """The root certificates that nodes trust."""
        return self._items("/ca", RootView)

    def rotate(self, overlap_days: int) -> list[RootView]:
        """Announce a new root that signs after so many days."""
        body = Rotation(overlap_days=overlap_days)
        return self.call("POST", "/ca/rotate", dict[str, list[RootView]], body=body)["items"]

    def usage(
        self,
        *,
        by: Sequence[str] = (),
        since_us: Micros | None = None,
        until_us: Micros | None = None,
        project: str | None = None,
    ) -> list[UsageSum]:
        """Sums of usage, grouped by any of project, key, model, day, node, tag."""
        query = {
            "by": ",".join(by) or None,
            "since": since_us,
            "until": until_us,
            "project": project,
        }
        return list(self._get("/usage", UsageRows, query=query).rows)

    def requests(self, limit: int, until_us: int | None = None) -> list[UsageRecord]:
        """At most so many records of requests, the latest first."""
        query = {"limit": limit, "until": until_us}
        return list(self._get("/requests", RequestRecords, query=query).records)

    def chunks(self, query: Mapping[str, str | int | None]) -> ChunkPage:
        """A page of records in columns, bounded by since, until, node and model."""
        return self._get("/records/chunks", ChunkPage, query=query)

    def predictors(self) -> list[PredictorView]:
        """What nodes have learned of their engines, and how far it is trusted."""
        return self._items("/predictors", PredictorView)

    def request(self, request: str) -> list[UsageRecord]:
        """Every attempt of one request."""
        return list(self._get(f"/requests/{_part(request)}", RequestRecords).records)

    def events(
        self, *, after: int = 0, only: Mapping[str, str | None] | None = None
    ) -> list[NumberedEvent]:
        """The events kept with a number above ``after``, oldest first.

        Args:
            after: Only those above.
            only: Further bounds: node, site, code, level.
        """
        return self._items("/events", NumberedEvent, query={"after": after, **(only or {})})

    def snapshot(self, *, node: NodeId | None = None) -> Snapshot:
        """What a node shall serve, secrets left out; without an id, the only node."""
        return self._get("/snapshot", Snapshot, query={"node": node})

    def _items(
        self, path: str, item: type[T], *, query: Mapping[str, str | int | None] | None = None
    ) -> list[T]:
        return self._get(path, dict[str, list[item]], query=query)["items"]

    def _get(
        self, path: str, record: type[T], *, query: Mapping[str, str | int | None] | None = None
    ) -> T:
        return self.call("GET", path, record, query=query)

    def _post(self, path: str, body: object, record: type[T]) -> T:
        return self.call("POST", path, record, body=body)


def _part(name: str) -> str:
    return quote(name, safe="")


def _resource(document: Document) -> Resource:
    """Read a resource; its kind says what its spec is."""
    return Resource(
        kind=document.kind,
        metadata=Metadata(name=document.metadata.name, labels=document.metadata.labels),
        spec=msgspec.convert(document.spec, SPECS[document.kind]),
        version=document.version or 0,
        created_us=Micros(document.created_us or 0),
        updated_us=Micros(document.updated_us or 0),
    )
