"""Snapshots: what a node shall serve from, and the keys that sign it."""

from collections.abc import Sequence
from functools import partial

from littoral.control.compiler import without_secrets
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.errors import InvalidInput
from littoral.domain.snapshot import Snapshot
from littoral.domain.view import SignerView


class SnapshotApi:
    """Handlers of snapshots."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/snapshot",
                handler=self.snapshot,
                policy=Needs("snapshot.read"),
                summary="What a node shall serve, secrets left out.",
                query={"node": "The node's id; needed where there is more than one."},
                gives=Snapshot,
            ),
            Route(
                method="GET",
                path="/api/v1/signers",
                handler=self.signers,
                policy=Needs("snapshot.read"),
                summary="Which key signs snapshots, and which one will be next.",
                gives=SignerView,
            ),
            Route(
                method="POST",
                path="/api/v1/signers/rotate",
                handler=self.rotate,
                policy=Needs("signer.write"),
                summary="Sign snapshots with the next key from now on.",
                query={"force": "true: even within 31 days of the last time."},
                gives=SignerView,
            ),
        )

    async def snapshot(self, call: Call) -> Snapshot:
        """One node's snapshot."""
        desk = self._desk
        nodes = desk.fleet.nodes()
        named = call.query.get("node")
        if named is None and len(nodes) != 1:
            known = ", ".join(node.id for node in nodes) or "none"
            raise InvalidInput(f"say which node; known: {known}", param="node")
        node = desk.fleet.node(named) if named is not None else nodes[0]
        snapshot = await desk.workers.state(partial(desk.publisher.compile, node.id))
        return without_secrets(snapshot)

    async def signers(self, call: Call) -> SignerView:
        """Both keys, by id."""
        del call
        present, following = self._desk.signer.keys.publics
        return SignerView(
            present=present, next=following, changed_us=self._desk.signer.keys.changed_us
        )

    async def rotate(self, call: Call) -> SignerView:
        """Rotate, and let every connected node know."""
        desk = self._desk
        force = call.query.get("force", "false")
        if force not in {"true", "false"}:
            raise InvalidInput(f"force: {force!r} is neither true nor false", param="force")
        await desk.workers.state(partial(desk.signer.rotate, force=force == "true"))
        await desk.delivery.everywhere()
        return await self.signers(call)
