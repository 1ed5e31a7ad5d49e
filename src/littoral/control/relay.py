"""Relay: streams of one node's session joined to those of another's.

It forwards bytes and decides nothing but whether both nodes may: the caller speaks in its own name,
and what it calls is placed where it calls. It reads nothing, and waits for no store.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from littoral.control.fleet import Fleet
from littoral.control.worker import Bell
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.outlet import Outlet
from littoral.domain.ports import Channel, Tunnel
from littoral.domain.reach import HOME, Residency, allowed
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.stream import CallHead
from littoral.domain.switch import Passed, Port, Streamed, Switch

TUNNEL: Final[Port] = "tunnel"


class Relay:
    """Joins the streams of all sessions.

    Args:
        fleet: Knows what runs where.
        residencies: Where the requests of projects may be, of those for which that is not anywhere.
    """

    def __init__(
        self, fleet: Fleet, residencies: Callable[[], Mapping[ProjectId, Residency]]
    ) -> None:
        self._fleet = fleet
        self._switch = Switch()
        self._outlets: dict[NodeId, Outlet] = {}
        self._bells: dict[NodeId, Bell] = {}
        self._residencies = residencies
        self._tunnel: Tunnel | None = None

    async def attach(self, tunnel: Tunnel) -> None:
        """Let nodes reach the admin API through a tunnel, until cancelled."""
        self._switch.join(TUNNEL, first=2)
        self._tunnel = tunnel
        try:
            await tunnel.run(partial(self._switched, TUNNEL))
        finally:
            self._tunnel = None
            self._send(self._switch.leave(TUNNEL))

    def _switched(self, port: Port, frame: Streamed) -> None:
        if not isinstance(frame, Open):
            self._send(self._switch.take(port, frame))

    async def serve(self, node: NodeId, channel: Channel) -> None:
        """Send what waits for a session, until cancelled; then its streams end.

        Raises:
            ChannelClosed: The node is gone, or takes too little.
        """
        outlet = self._outlets[node] = Outlet()
        bell = self._bells[node] = Bell()
        self._send(self._switch.leave(node))
        self._switch.join(node, first=2)
        try:
            while True:
                heard = bell.count
                frame = outlet.take()
                if frame is None:
                    await bell.wait(heard)
                else:
                    await channel.send(frame)
        finally:
            if self._outlets.get(node) is outlet:
                del self._outlets[node]
                self._send(self._switch.leave(node))

    def take(self, node: NodeId, frame: Frame) -> bool:
        """Take a frame of a session; False where it is of no stream."""
        if isinstance(frame, Open):
            self._send(self._open(node, frame))
        elif isinstance(frame, Data | Reset | Credit):
            self._send(self._switch.take(node, frame))
        else:
            return False
        return True

    def _open(self, node: NodeId, frame: Open) -> Passed:
        wrong = self._wrong(node, frame.head)
        if wrong:
            return [(node, Reset(stream=frame.stream, code="refused", message=wrong))]
        passed = replace(frame, head=replace(frame.head, hops=frame.head.hops + 1))
        to = TUNNEL if frame.head.kind == "admin" else frame.head.to
        return self._switch.open(node, passed, to=to)

    def _wrong(self, node: NodeId, head: CallHead) -> str:
        """Why a call is not passed on; empty where it is."""
        if head.origin != node or head.hops or head.via != "relay":
            return "a node calls in its own name only, and calls of others are not sent on"
        if head.kind == "admin":
            return ""
        try:
            status = self._fleet.node(head.to).status
        except UnknownName:
            return f"no node has the id {head.to!r}"
        endpoints = status.endpoints if status is not None else ()
        placed = {each.deployment for each in endpoints}
        if head.deployment not in placed or head.to == node:
            return f"deployment {head.deployment!r} does not run on {head.to}"
        spots = self._fleet.spots()
        residency = self._residencies().get(head.project, "any")
        if not allowed(residency, spots[node], (HOME, spots[head.to])):
            return f"requests of project {head.project!r} may not pass here: {residency}"
        return ""

    def _send(self, passed: Passed) -> None:
        for port, frame in passed:
            outlet = self._outlets.get(NodeId(port))
            if port == TUNNEL and self._tunnel is not None:
                self._tunnel.heard(frame)
            elif outlet is not None:
                outlet.put(frame)
                self._bells[NodeId(port)].ring()
