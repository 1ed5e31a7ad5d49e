"""Relay: calls between this node's gateways and other nodes, over the channels that there are.

A call that a gateway makes goes to control or straight to its node; one that comes from outside
is checked against our own snapshot and given to the gateway with the fewest. Nothing that came from
another node ever leaves for a third one.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.outlet import Outlet
from littoral.domain.ports import Channel, Tunnel
from littoral.domain.reach import HOME, Residency, allowed
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.snapshot import Snapshot
from littoral.domain.stream import MOST_HOPS, CallHead
from littoral.domain.switch import Passed, Port, Switch
from littoral.node.signal import Signal

CONTROL: Final[Port] = "control"
GATEWAY: Final = "gateway"
TUNNEL: Final[Port] = "tunnel"
PEER: Final = "peer:"
MOST_BODY: Final = 32 * 1024 * 1024
"""Longest body of a call, bytes."""


class Relay:
    """The streams of one node.

    Args:
        me: This node.
    """

    def __init__(self, me: NodeId) -> None:
        self._me = me
        self._switch = Switch()
        self._outlets: dict[Port, Outlet] = {}
        self._arrived: dict[Port, Signal] = {}
        self._terms: _Terms | None = None
        self._tunnel: Tunnel | None = None

    def swapped(self, snapshot: Snapshot) -> None:
        """Check calls by a new snapshot."""
        self._terms = _Terms(snapshot)

    async def attach(self, tunnel: Tunnel) -> None:
        """Let control's API be reached through a tunnel, until cancelled."""
        self._switch.join(TUNNEL, first=2)
        self._tunnel = tunnel
        try:
            await tunnel.run(partial(self.take, TUNNEL))
        finally:
            self._tunnel = None
            self._send(self._switch.leave(TUNNEL))

    async def serve(self, port: Port, channel: Channel, *, first: int) -> None:
        """Send what waits for a channel, until cancelled; then its streams end.

        Args:
            port: Its name: ``CONTROL``, ``GATEWAY`` or ``PEER`` with something that names it.
            channel: Where to send.
            first: The first number that we give to streams there, 1 or 2.

        Raises:
            ChannelClosed: The peer is gone, or takes too little.
        """
        outlet = self._outlets[port] = Outlet()
        arrived = self._arrived[port] = Signal()
        self._send(self._switch.leave(port))
        self._switch.join(port, first=first)
        try:
            while True:
                frame = outlet.take()
                if frame is None:
                    await arrived.wait()
                else:
                    await channel.send(frame)
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
        if port == TUNNEL:
            return self._switch.open(port, _named(frame, self._me), to=CONTROL)
        if port.startswith(GATEWAY):
            ours = _named(frame, self._me)
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
        if head.kind != "http":
            return "there is no other API here than that of the engines"
        if head.to != self._me or head.hops > MOST_HOPS:
            return f"this is {self._me}, and calls of other nodes end here"
        if port != (CONTROL if head.via == "relay" else PEER + head.origin):
            return "a node calls in its own name only, and says by which way"
        if head.size > MOST_BODY:
            return f"the body of a call has at most {MOST_BODY} bytes"
        if self._terms is None:
            return "this node has no snapshot yet"
        return self._terms.against(head)

    def _send(self, passed: Passed) -> None:
        for port, frame in passed:
            outlet = self._outlets.get(port)
            if port == TUNNEL and self._tunnel is not None:
                self._tunnel.heard(frame)
            elif outlet is not None:
                outlet.put(frame)
                self._arrived[port].notify()


def _named(frame: Open, me: NodeId) -> Open:
    return replace(frame, head=replace(frame.head, origin=me, hops=0))


class _Terms:
    """What a snapshot allows calls from outside, by name: a call looks up, and goes through none.

    Args:
        snapshot: Ours.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._node = snapshot.node
        self._spots = snapshot.neighbours
        self._served = {each.name: each.serves for each in snapshot.assignments}
        self._owners = {grant.id: grant.project for grant in snapshot.keys if not grant.revoked}
        self._residencies: dict[ProjectId, Residency] = {
            each.project: each.residency for each in snapshot.traffic
        }

    def against(self, head: CallHead) -> str:
        """Why a call is not allowed; empty where it is."""
        if self._served.get(head.deployment) != head.model:
            return f"deployment {head.deployment!r} does not serve {head.model!r} here"
        if self._owners.get(head.key) != head.project:
            return "the key of this call is unknown here, revoked, or of another project"
        origin, here = self._spots.get(head.origin), self._spots.get(self._node)
        if origin is None or here is None:
            return f"{head.origin} is no node that this one knows"
        residency = self._residencies.get(head.project, "any")
        hops = (here,) if head.via == "peer" else (HOME, here)
        if not allowed(residency, origin, hops):
            return f"requests of project {head.project!r} may not come here: {residency}"
        return ""
