"""Nodes, events, and control itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import get_args

from littoral.control.api.deployment import deployment_views
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.news import NumberedEvent, Wanted
from littoral.domain.node import Level, Node
from littoral.domain.view import Overview

MOST = 500
"""Most events of one answer."""


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
                query={
                    "after": "Only events with a number above this.",
                    "limit": f"How many, 1 to {MOST}.",
                    "node": "Only those of this node, by id or name.",
                    "site": "Only those of the nodes of this site.",
                    "code": "Only this code, or those that begin with it where it ends with a dot.",
                    "level": "Only this level: info, warning, error.",
                },
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
        return [self._measured(node) for node in self._desk.fleet.nodes()]

    async def node(self, call: Call) -> Node:
        """One node."""
        return self._measured(self._desk.fleet.node(call.path["id"]))

    def _measured(self, node: Node) -> Node:
        """A node, with how well it is reached now."""
        return replace(node, heard=self._desk.links.measured(node.id))

    async def events(self, call: Call) -> Sequence[NumberedEvent]:
        """The events kept."""
        wanted = Wanted(
            after=number(call, "after", 0),
            limit=limit_of(call, usual=MOST, most=MOST),
            nodes=self._nodes_of(call),
            code=call.query.get("code", ""),
            level=_level(call),
        )
        desk = self._desk
        await desk.workers.state(desk.events.flush)
        return await desk.workers.ledger(partial(desk.events.wanted, wanted))

    def _nodes_of(self, call: Call) -> tuple[str, ...] | None:
        """Ids of the nodes that were asked for; None where none was named."""
        node, site = call.query.get("node"), call.query.get("site")
        if node is None and site is None:
            return None
        nodes = self._desk.fleet.nodes()
        named = [each for each in nodes if node in {None, each.id, each.name}]
        if node is not None and not named:
            known = ", ".join(sorted(each.name for each in nodes)) or "none"
            raise UnknownName(f"no node {node!r}; known: {known}")
        return tuple(each.id for each in named if site in {None, each.site})

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


def number(call: Call, name: str, default: int) -> int:
    """A whole number of the query.

    Raises:
        InvalidInput: It is none, or negative.
    """
    text = call.query.get(name, str(default))
    if not text.isdecimal() or len(text) > len("123456789012345678"):
        raise InvalidInput(f"{name}: {text!r:.40} is not a number from 0", param=name)
    return int(text)


def limit_of(call: Call, *, usual: int, most: int) -> int:
    """How many are asked for.

    Raises:
        InvalidInput: It is no number from 1 to ``most``.
    """
    limit = number(call, "limit", usual)
    if not 1 <= limit <= most:
        raise InvalidInput(f"limit: {limit} is not within 1 to {most}", param="limit")
    return limit


def _level(call: Call) -> str:
    level = call.query.get("level", "")
    known = get_args(Level)
    if level and level not in known:
        allowed = ", ".join(known)
        raise InvalidInput(f"level: no {level!r:.40}; known: {allowed}", param="level")
    return level
