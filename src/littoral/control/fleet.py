"""Fleet: nodes as control knows them, their state judged by when they were last heard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from littoral.control.worker import Bell
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.node import Node, NodeState, NodeStatus
from littoral.domain.ports import Clock, Sink, State
from littoral.domain.session import Hello
from littoral.domain.units import Seconds
from littoral.domain.view import PlacedEndpoint

BEAT_S = Seconds(4.0)
SUSPECT_S = Seconds(12.0)
DISCONNECTED_S = Seconds(20.0)
_PREFIX = "node/"


@dataclass(slots=True)
class _Heard:
    """One node's row, and when it last spoke (None: not since this start, or gone)."""

    node: Node
    at: Seconds | None


class Fleet:
    """Every node that ever joined; rows are kept, what nodes say of themselves is not.

    Args:
        state: Where rows are kept.
        clock: Judges who is suspect.
        sink: Takes the events that nodes report.
    """

    def __init__(self, state: State, *, clock: Clock, sink: Sink) -> None:
        self._state = state
        self._clock = clock
        self._sink = sink
        self.bell = Bell()
        """Rings when a node came, went, or said something new of itself."""
        self._heard = {
            node.id: _Heard(node, None)
            for node in (
                msgspec.json.decode(row, type=Node) for row in state.values(_PREFIX).values()
            )
        }

    def row(self, hello: Hello) -> Node:
        """Write down the node that opens a session and return its row."""
        node = Node(
            id=hello.node,
            name=hello.name,
            state="joined",
            seen_us=self._clock.wall(),
            build=hello.build,
        )
        self._state.put_value(_PREFIX + node.id, msgspec.json.encode(node))
        return node

    def joined(self, node: Node) -> None:
        """A session of this node is open."""
        self._heard[node.id] = _Heard(node, self._clock.now())
        self.bell.ring()

    def beat(self, node: NodeId, status: NodeStatus | None) -> None:
        """A node was heard, perhaps with news of itself.

        Credentials of endpoints end here: nobody reads them back from control.
        """
        heard = self._heard[node]
        heard.at = self._clock.now()
        heard.node = replace(heard.node, seen_us=self._clock.wall())
        if status is None:
            return
        for event in status.events:
            self._sink.emit(event)
        endpoints = tuple(replace(item, credential=None) for item in status.endpoints)
        kept = replace(status, endpoints=endpoints, events=())
        heard.node = replace(heard.node, status=kept)
        self.bell.ring()

    def left(self, node: NodeId) -> None:
        """The node's session has ended."""
        self._heard[node].at = None
        self.bell.ring()

    def nodes(self) -> Sequence[Node]:
        """All nodes by id, each with its present state."""
        return [self._judged(self._heard[name]) for name in sorted(self._heard)]

    def node(self, name: str) -> Node:
        """One node.

        Raises:
            UnknownName: No node has this id; the message lists the known ones.
        """
        found = self._heard.get(NodeId(name))
        if found is None:
            known = ", ".join(sorted(self._heard)) or "none"
            raise UnknownName(f"no node has the id {name!r}; known: {known}")
        return self._judged(found)

    def endpoints(self) -> Sequence[PlacedEndpoint]:
        """Every endpoint of every node that is not disconnected."""
        return [
            PlacedEndpoint(node=node.id, endpoint=endpoint)
            for node in self.nodes()
            if node.status is not None and node.state != "disconnected"
            for endpoint in node.status.endpoints
        ]

    def _judged(self, heard: _Heard) -> Node:
        return replace(heard.node, state=self._state_of(heard))

    def _state_of(self, heard: _Heard) -> NodeState:
        if heard.at is None:
            return "disconnected"
        silent = self._clock.now() - heard.at
        if silent >= DISCONNECTED_S:
            return "disconnected"
        if silent >= SUSPECT_S:
            return "suspect"
        return "connected" if heard.node.status is not None else "joined"
