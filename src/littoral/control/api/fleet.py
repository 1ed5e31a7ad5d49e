"""Nodes, events, and control itself."""

from collections import Counter
from collections.abc import Sequence

from littoral.control.api.deployment import deployment_views
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.errors import InvalidInput
from littoral.domain.node import Node
from littoral.domain.view import NumberedEvent, Overview


class FleetApi:
    """Handlers of what control knows of the fleet and of itself."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/status",
                handler=self.status,
                policy=Needs("status.read"),
                summary="Control in one look.",
                gives=Overview,
            ),
            Route(
                method="GET",
                path="/api/v1/nodes",
                handler=self.nodes,
                policy=Needs("node.read"),
                summary="All nodes with their states.",
                gives=tuple[Node, ...],
            ),
            Route(
                method="GET",
                path="/api/v1/nodes/{id}",
                handler=self.node,
                policy=Needs("node.read"),
                summary="One node.",
                gives=Node,
            ),
            Route(
                method="GET",
                path="/api/v1/events",
                handler=self.events,
                policy=Needs("event.read"),
                summary="The last events, oldest first.",
                query={"after": "Only events with a number above this."},
                gives=tuple[NumberedEvent, ...],
            ),
        )

    async def status(self, call: Call) -> Overview:
        """Counts of everything."""
        del call
        return await self._desk.workers.state(self._overview)

    async def nodes(self, call: Call) -> Sequence[Node]:
        """All nodes."""
        del call
        return self._desk.fleet.nodes()

    async def node(self, call: Call) -> Node:
        """One node."""
        return self._desk.fleet.node(call.path["id"])

    async def events(self, call: Call) -> Sequence[NumberedEvent]:
        """The events kept."""
        after = call.query.get("after", "0")
        if not after.isdecimal():
            raise InvalidInput(f"after: {after!r} is not a number from 0", param="after")
        return self._desk.events.after(int(after))

    def _overview(self) -> Overview:
        desk = self._desk
        return Overview(
            cluster=desk.site.cluster,
            build=desk.build,
            started_us=desk.started_us,
            revision=desk.state.revision(),
            nodes=Counter(node.state for node in desk.fleet.nodes()),
            deployments=Counter(view.phase for view in deployment_views(desk)),
            models=Counter(status.phase for status in desk.obtainer.statuses()),
            blobs_free=desk.blobs.free(),
        )
