"""Census: which nodes snapshots name, so that nodes that join in a crowd are named together.

Each node that snapshots name anew renews the snapshot of every other one. So whoever joins is named
at once where that was done last some time ago, and the larger the fleet, the longer is some time.
Who is to be named no more, or stands elsewhere now, is not waited for.
"""

import math
from collections.abc import Mapping
from typing import Final

import anyio

from littoral.control.fleet import Fleet
from littoral.control.worker import Bell
from littoral.domain.ids import NodeId
from littoral.domain.ports import Clock
from littoral.domain.reach import Spot
from littoral.domain.units import Seconds

EACH_S: Final = 0.05
"""Between two namings, for each node: one costs control some milliseconds for each of them."""


class Census:
    """The nodes as snapshots name them.

    Args:
        fleet: All nodes.
        clock: Says how long ago they were named last.
    """

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._named: Mapping[NodeId, Spot] = fleet.spots()
        self._at = Seconds(-math.inf)

    def named_to(self, node: NodeId) -> Mapping[NodeId, Spot]:
        """The nodes that one node's snapshot names: itself always."""
        spots = self._fleet.spots()
        self._take(spots)
        if node in self._named or node not in spots:
            return self._named
        return dict(sorted([*self._named.items(), (node, spots[node])]))

    async def run(self, bell: Bell) -> None:
        """Ring whenever others are to be named, until cancelled."""
        rung, told = self._fleet.bell, self._named
        while True:
            heard = rung.count
            wait_s = self._take(self._fleet.spots())
            if self._named is not told:
                told = self._named
                bell.ring()
            with anyio.move_on_after(wait_s):
                await rung.wait(heard)

    def _take(self, spots: Mapping[NodeId, Spot]) -> float:
        """Name whom it is time to name; returns for how long others wait, ``inf`` where none do."""
        if spots == self._named:
            return math.inf
        is_more = all(spots.get(node) == spot for node, spot in self._named.items())
        left_s = self._at + EACH_S * len(spots) - self._clock.now()
        if is_more and left_s > 0:
            return left_s
        self._named, self._at = spots, self._clock.now()
        return math.inf
