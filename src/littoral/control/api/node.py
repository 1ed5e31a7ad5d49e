"""What is decided of nodes, and what they are asked to do."""

from collections.abc import Callable, Sequence
from functools import partial

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.node import Node
from littoral.domain.upkeep import Done, ErrandRequest, LabelRequest, MarkRequest


class NodeApi:
    """Handlers of what operators decide of nodes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="POST",
                path="/api/v1/nodes/{id}/mark",
                handler=self.mark,
                policy=Needs("node.write"),
                summary="Cordon or drain a node, or neither.",
                takes=MarkRequest,
                gives=Node,
            ),
            Route(
                method="POST",
                path="/api/v1/nodes/{id}/labels",
                handler=self.label,
                policy=Needs("node.write"),
                summary="Give a node labels; an empty value takes one away.",
                takes=LabelRequest,
                gives=Node,
            ),
            Route(
                method="POST",
                path="/api/v1/nodes/{id}/do",
                handler=self.do,
                policy=Needs("node.write"),
                summary="Have a connected node do one of a few things, and say what came of it.",
                takes=ErrandRequest,
                gives=Done,
            ),
            Route(
                method="POST",
                path="/api/v1/nodes/{id}/revoke",
                handler=self.revoke,
                policy=Needs("node.revoke"),
                summary="Let a node speak to control never again; its session ends at once.",
                gives=Node,
            ),
            Route(
                method="DELETE",
                path="/api/v1/nodes/{id}",
                handler=self.remove,
                policy=Needs("node.write"),
                summary="Forget a node that is not connected.",
                gives=Node,
            ),
        )

    async def mark(self, call: Call) -> Node:
        """Cordon, drain, or neither."""
        mark = call.read(MarkRequest).mark
        return await self._changed(partial(self._desk.roster.mark, call.path["id"], mark))

    async def label(self, call: Call) -> Node:
        """Change labels."""
        labels = call.read(LabelRequest).labels
        return await self._changed(partial(self._desk.roster.label, call.path["id"], labels))

    async def do(self, call: Call) -> Done:
        """Send an errand and wait for its end."""
        wanted = call.read(ErrandRequest)
        node = self._desk.roster.find(call.path["id"])
        return await self._desk.links.ask(node.id, wanted.verb, wanted.args)

    async def revoke(self, call: Call) -> Node:
        """Revoke: first the row, so that no new session begins, then the open one ends."""
        node = await self._changed(partial(self._desk.roster.revoke, call.path["id"]))
        self._desk.links.end(node.id, "revoked")
        self._desk.priors.forget(node.id)
        return node

    async def remove(self, call: Call) -> Node:
        """Remove a row."""
        remove = partial(self._desk.roster.remove, call.path["id"])
        node = await self._desk.workers.state(remove)
        self._desk.fleet.forget(node.id)
        self._desk.priors.forget(node.id)
        self._desk.bell.ring()
        return node

    async def _changed(self, change: Callable[[], Node]) -> Node:
        node = await self._desk.workers.state(change)
        self._desk.fleet.learn(node)
        self._desk.bell.ring()
        return self._desk.fleet.node(node.id)
