"""Hop: where requests go from node to node, as both ends see it.

Where a project's requests may be never changes in a simulation, so what a node is sent can be
compared with the truth, whatever snapshot whoever passed it on goes by.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from littoral.domain.ids import NodeId, ProjectId
from littoral.domain.reach import HOME, Residency, Spot, allowed

PROJECTS: Final[Mapping[ProjectId, Residency]] = {
    ProjectId("default"): "any",
    ProjectId("near"): "site",
    ProjectId("shy"): "edge-only",
}
"""Where the requests of each project may be."""


@dataclass(slots=True)
class Hops:
    """Every call between two nodes.

    Attributes:
        spots: Where each node stands, as the machine was invited.
        counts: How calls ended, and how many were sent out though they must not be.
        wrong: What must not be.
        bent: How many messages were changed on their way, as TLS lets nobody: what calls carry is
            not compared then.
    """

    spots: dict[NodeId, Spot] = field(default_factory=dict[NodeId, Spot])
    counts: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    bent: int = 0
    _open: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])

    def began(self, request: str, node: str) -> None:
        """A gateway calls another node."""
        self._open[request] = node, self.bent
        self.counts["begun"] += 1

    def ended(self, request: str, how: str) -> None:
        """The caller heard how a call ended."""
        if self._open.pop(request, None) is None:
            self.wrong.append(f"the call {request} ended twice: {how}")
        self.counts[how] += 1

    def died(self, node: str) -> None:
        """The gateway of an edge is no more: it waits for nothing."""
        for request in [name for name, (at, _) in self._open.items() if at == node]:
            del self._open[request]
            self.counts["caller died"] += 1

    def came(self, project: ProjectId, origin: NodeId, here: Spot) -> None:
        """A gateway is given the call of another node, through control."""
        self.counts["heard"] += 1
        residency, spot = PROJECTS.get(project, "any"), self.spots.get(origin)
        if spot is None or not allowed(residency, spot, (HOME, here)):
            self.wrong.append(f"a request of {project} ({residency}) came from {origin} to {here}")

    def bend(self) -> None:
        """A message was changed."""
        self.bent += 1

    def compare(self, request: str, *, same: bool) -> None:
        """Whether the bytes that came at an end of a call are those that were sent."""
        _, bent = self._open.get(request, ("", -1))
        if not same and bent == self.bent:
            self.wrong.append(f"{request} came with other bytes than were sent")

    @property
    def under_way(self) -> list[str]:
        """Calls whose callers still wait."""
        return list(self._open)
