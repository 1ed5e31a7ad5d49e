"""Relay: calls between this node's gateways and other nodes, over the channels that there are.

A call that a gateway makes goes to control or straight to its node; one that comes from outside
is checked against our own snapshot and given to the gateway with the fewest. Nothing that came from
another node ever leaves for a third one.
"""

from collections import deque
from dataclasses import replace
from typing import Final

from littoral.domain.ids import NodeId
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.snapshot import Snapshot
from littoral.domain.stream import MOST_HOPS, CallHead
from littoral.domain.switch import Passed, Port, Streamed, Switch
from littoral.node.signal import Signal

CONTROL: Final[Port] = "control"
GATEWAY: Final = "gateway"
PEER: Final = "peer:"
MOST_BODY: Final = 32 * 1024 * 1024
"""Longest body of a call, bytes."""
MOST_WAITING: Final = 100_000
"""Frames that may wait for one channel: all streams' windows in small pieces are fewer."""


class Outlet:
    """Frames that wait for one channel, sent in their order."""

    def __init__(self) -> None:
        self._frames: deque[Streamed] = deque()
        self._arrived = Signal()

    def put(self, frame: Streamed) -> None:
        """Let a frame wait."""
        self._frames.append(frame)
        self._arrived.notify()

    async def run(self, channel: Channel) -> None:
        """Send until cancelled.

        Raises:
            ChannelClosed: The peer is gone, or takes nothing.
        """
        while True:
            while self._frames:
                if len(self._frames) > MOST_WAITING:
                    raise ChannelClosed("the peer takes too little of what is sent to it")
                await channel.send(self._frames.popleft())
            await self._arrived.wait()


class Relay:
    """The streams of one node.

    Args:
        me: This node.
    """

    def __init__(self, me: NodeId) -> None:
        self._me = me
        self._switch = Switch()
        self._outlets: dict[Port, Outlet] = {}
        self._snapshot: Snapshot | None = None

    def swapped(self, snapshot: Snapshot) -> None:
        """Check calls by a new snapshot."""
        self._snapshot = snapshot

    async def serve(self, port: Port, channel: Channel, *, first: int) -> None:
        """Send what waits for a channel, until cancelled; then its streams end.

        Args:
            port: Its name: ``CONTROL``, ``GATEWAY`` or ``PEER`` with something that names it.
            channel: Where to send.
            first: The first number that we give to streams there, 1 or 2.
        """
        outlet = self._outlets[port] = Outlet()
        self._switch.join(port, first=first)
        try:
            await outlet.run(channel)
        finally:
            if self._outlets.get(port) is outlet:
                del self._outlets[port]
                self._send(self._switch.leave(port))

    def take(self, port: Port, frame: Frame) -> bool:
        """Take a frame of a channel; False where it is of no stream."""
        if isinstance(frame, Open):
            self._send(self._open(port, frame))
        elif isinstance(frame, Data | Reset | Credit):
            self._send(self._switch.take(port, frame))
        else:
            return False
        return True

    def _open(self, port: Port, frame: Open) -> Passed:
        head = frame.head
        if port.startswith(GATEWAY):
            ours = replace(frame, head=replace(head, origin=self._me, hops=0))
            to = CONTROL if head.via == "relay" else PEER + head.to
            return self._switch.open(port, ours, to=to)
        wrong = self._wrong(port, head)
        if wrong:
            return [(port, Reset(stream=frame.stream, code="refused", message=wrong))]
        gateways = [each for each in self._outlets if each.startswith(GATEWAY)]
        to = min(gateways, key=self._switch.load, default=GATEWAY)
        return self._switch.open(port, frame, to=to)

    def _wrong(self, port: Port, head: CallHead) -> str:
        """Why a call from outside is not answered here; empty where it is."""
        if head.to != self._me or head.hops > MOST_HOPS:
            return f"this is {self._me}, and calls of other nodes end here"
        if port != CONTROL and port != PEER + head.origin:
            return "a node calls in its own name only"
        if head.size > MOST_BODY:
            return f"the body of a call has at most {MOST_BODY} bytes"
        return unknown_to(self._snapshot, head)

    def _send(self, passed: Passed) -> None:
        for port, frame in passed:
            outlet = self._outlets.get(port)
            if outlet is not None:
                outlet.put(frame)


def unknown_to(snapshot: Snapshot | None, head: CallHead) -> str:
    """Why a snapshot does not allow a call; empty where it does."""
    if snapshot is None:
        return "this node has no snapshot yet"
    served = {each.name: each.serves for each in snapshot.assignments}
    if served.get(head.deployment) != head.model:
        return f"deployment {head.deployment!r} does not serve {head.model!r} here"
    owners = {grant.id: grant.project for grant in snapshot.keys if not grant.revoked}
    if owners.get(head.key) != head.project:
        return "the key of this call is unknown here, revoked, or of another project"
    return ""
