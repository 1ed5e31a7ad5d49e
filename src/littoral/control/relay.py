"""Relay: streams of one node's session joined to those of another's.

It forwards bytes and decides nothing but whether both nodes may: the caller speaks in its own name,
and what it calls is placed where it calls. It reads nothing, and waits for no store.
"""

from collections import deque
from dataclasses import replace

import anyio

from littoral.control.fleet import Fleet
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.stream import CallHead
from littoral.domain.switch import Passed, Streamed, Switch

MOST_WAITING = 100_000
"""Frames that may wait for one session: all streams' windows in small pieces are fewer."""


class _Outlet:
    """Frames that wait for one session."""

    def __init__(self) -> None:
        self.frames: deque[Streamed] = deque()
        self.arrived = anyio.Event()

    def put(self, frame: Streamed) -> None:
        self.frames.append(frame)
        self.arrived.set()

    async def run(self, channel: Channel) -> None:
        while True:
            self.arrived = anyio.Event()
            while self.frames:
                if len(self.frames) > MOST_WAITING:
                    raise ChannelClosed("the node takes too little of what is sent to it")
                await channel.send(self.frames.popleft())
            await self.arrived.wait()


class Relay:
    """Joins the streams of all sessions.

    Args:
        fleet: Knows what runs where.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._switch = Switch()
        self._outlets: dict[NodeId, _Outlet] = {}

    async def serve(self, node: NodeId, channel: Channel) -> None:
        """Send what waits for a session, until cancelled; then its streams end."""
        outlet = self._outlets[node] = _Outlet()
        self._switch.join(node, first=2)
        try:
            await outlet.run(channel)
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
        return self._switch.open(node, passed, to=frame.head.to)

    def _wrong(self, node: NodeId, head: CallHead) -> str:
        """Why a call is not passed on; empty where it is."""
        if head.origin != node or head.hops or head.via != "relay":
            return "a node calls in its own name only, and calls of others are not sent on"
        try:
            status = self._fleet.node(head.to).status
        except UnknownName:
            return f"no node has the id {head.to!r}"
        endpoints = status.endpoints if status is not None else ()
        placed = {each.deployment for each in endpoints}
        if head.deployment not in placed or head.to == node:
            return f"deployment {head.deployment!r} does not run on {head.to}"
        return ""

    def _send(self, passed: Passed) -> None:
        for port, frame in passed:
            outlet = self._outlets.get(NodeId(port))
            if outlet is not None:
                outlet.put(frame)
