"""Absence: tells which nodes control lost, and for how long those that come back were away."""

from collections.abc import Sequence

import anyio

from littoral.control.fleet import AWAY, Fleet
from littoral.domain.ids import NodeId
from littoral.domain.node import GONE, Event, Level, Node
from littoral.domain.ports import Clock, Sink
from littoral.domain.units import DAY_US, Micros, Seconds

EVERY = Seconds(5.0)
GRACE = Seconds(120.0)
"""How long after its own start control waits for nodes before it misses them."""
LATELY_US = DAY_US
"""Nodes that were last heard longer ago than this, at control's start, are not missed anew."""
NAMED = 5
"""Most nodes that one event names."""


class Absences:
    """Compares who is here with who was.

    Args:
        fleet: Who is here.
        clock: Since when.
        sink: Is told.
    """

    def __init__(self, fleet: Fleet, *, clock: Clock, sink: Sink) -> None:
        self._fleet = fleet
        self._clock = clock
        self._sink = sink
        self._began = clock.now()
        lately = clock.wall() - LATELY_US
        self._here = {node.id for node in fleet.nodes() if node.seen_us > lately}
        self._away: dict[NodeId, Micros] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await anyio.sleep(EVERY)

    def look(self) -> None:
        """Tell what changed since the last look."""
        nodes = self._fleet.nodes()
        away = [node for node in nodes if node.state in AWAY and node.mark not in GONE]
        gone = [node for node in away if node.id in self._here]
        if gone and self._clock.now() - self._began >= GRACE:
            self._here.difference_update(node.id for node in gone)
            self._away |= {node.id: node.seen_us for node in gone}
            self._say("node.disconnected", f"{_named(gone)} cannot be reached", gone)
        here = [node for node in nodes if node.state not in AWAY and node.seen_us]
        self._here.update(node.id for node in here)
        for node in here:
            since = self._away.pop(node.id, None)
            if since is not None:
                away_s = max(0, self._clock.wall() - since) / 1_000_000
                text = f"{node.name} is connected again after {away_s:.0f} s"
                self._say("node.connected", text, [node], level="info")

    def _say(
        self, code: str, message: str, nodes: Sequence[Node], *, level: Level = "warning"
    ) -> None:
        subject = nodes[0].id if len(nodes) == 1 else "nodes"
        at = self._clock.wall()
        event = Event(at_us=at, level=level, subject=subject, code=code, message=message)
        self._sink.emit(event)


def _named(nodes: Sequence[Node]) -> str:
    names = ", ".join(node.name for node in nodes[:NAMED])
    rest = len(nodes) - NAMED
    return f"{names} and {rest} more nodes" if rest > 0 else names
