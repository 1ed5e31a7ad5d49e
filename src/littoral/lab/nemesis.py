"""Nemesis: what goes wrong, when, and to whom, all from one seed."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.failpoint import FailpointName
from littoral.domain.ports import Chance
from littoral.domain.units import DAY_US, Seconds
from littoral.lab.cloud import Cloud, SyncedState
from littoral.lab.edge import Edge
from littoral.lab.life import Act, Killed
from littoral.lab.trace import Trace
from littoral.lab.wan import Twist
from littoral.testing.loop import LoopClock, later, leap

WEIGHTS: Mapping[str, float] = {
    "cut": 4.0,
    "kill": 3.0,
    "failpoint": 4.0,
    "reset": 3.0,
    "gateway": 2.0,
    "engine": 2.0,
    "power": 1.0,
    "full": 0.5,
    "control": 1.0,
    "control-failpoint": 1.0,
    "storm": 0.2,
    "clock": 0.3,
    "leap": 0.2,
    "backup": 0.2,
    "rollback": 0.1,
    "twist": 2.0,
    "revoke": 0.1,
    "clone": 0.05,
}
"""Faults by how often each happens beside the others; a plan may choose some of them."""
CLOUD_PLACES: Sequence[FailpointName] = (
    "canary.verdict",
    "join.signed",
    "records.applied",
    "renew.issued",
    "session.hello",
    "session.resumed",
    "shares.given",
    "state.committed",
    "stored.sent",
)
EDGE_PLACES: Sequence[FailpointName] = (
    "identity.written",
    "outbox.begin",
    "outbox.committed",
    "records.sent",
    "revoke.synced",
    "rows.deleted",
    "snapshot.part",
    "snapshot.renamed",
    "snapshot.swapped",
    "engine.spawned",
    "shares.written",
    "slot.switched",
    "slots.freed",
    "deferred.accepted",
    "deferred.started",
    "deferred.settled",
    "deferred.booked",
)
"""Failpoints that a simulated process passes: control's, and a node's."""
TWISTS: Sequence[Twist] = ("twice", "swap", "lose", "bend")
ACTS: Sequence[Act] = ("kill", "kill", "error", "delay")
HOUR = Seconds(3600.0)
ALARMED = Seconds(900.0)
"""Within so long people act on the alarm that a disk was copied."""


@dataclass(slots=True, kw_only=True)
class Nemesis:
    """Draws one fault after the other.

    ``clone`` starts a second machine with a copy of an edge's disk. ``places`` are the failpoints
    that are armed, where not all, and ``acts`` with what.

    Attributes:
        counts: How often each kind happened.
    """

    edges: Sequence[Edge]
    cloud: Cloud
    chance: Chance
    trace: Trace
    every_s: Seconds
    weights: Mapping[str, float]
    clone: Callable[[Edge], Edge]
    places: Sequence[FailpointName] = ()
    acts: Sequence[Act] = ACTS
    counts: Counter[str] = field(default_factory=Counter[str])
    _backup: SyncedState | None = None
    _cloned: list[Edge] = field(default_factory=list[Edge])

    async def run(self) -> None:
        """Do harm until cancelled."""
        acts = self._acts()
        names = sorted(self.weights)
        while True:
            await anyio.sleep(-self.every_s * math.log(1.0 - self.chance.random()))
            name = self._draw(names)
            edge = self.edges[int(self.chance.random() * len(self.edges))]
            self.trace.note(f"nemesis: {name} {edge.name}")
            self.counts[name] += 1
            acts[name](edge)

    def heal(self) -> None:
        """Undo what lasts: links, disks, power and clocks are well."""
        self._part([edge for edge in self._cloned if self._shares(edge)])
        for edge in self.edges:
            edge.link.heal("wan")
            edge.link.twists.clear()
            edge.box.outbox.full = edge.box.disk.full = False
            edge.life.disarm()
            edge.come_back()
        self.cloud.life.disarm()
        self.cloud.come_back()

    def _shares(self, edge: Edge) -> bool:
        """Whether two machines are still one node."""
        return sum(other.node == edge.node for other in self.edges) > 1

    def _draw(self, names: Sequence[str]) -> str:
        left = self.chance.random() * math.fsum(self.weights.values())
        for name in names:
            left -= self.weights[name]
            if left < 0:
                return name
        return names[-1]

    def _acts(self) -> Mapping[str, Callable[[Edge], None]]:
        return {
            "cut": self._cut,
            "kill": Edge.kill,
            "failpoint": self._arm,
            "reset": lambda edge: edge.link.reset(),
            "gateway": Edge.kill_gateway,
            "engine": Edge.crash_engine,
            "power": lambda edge: edge.lose_power(Seconds(600.0 * self.chance.random())),
            "full": self._fill,
            "control": lambda _edge: self.cloud.kill(),
            "control-failpoint": lambda _edge: self._arm_control(),
            "storm": lambda _edge: self._storm(),
            "clock": self._step,
            "leap": lambda _edge: self._leap(),
            "backup": lambda _edge: self._keep(),
            "rollback": lambda _edge: self._roll_back(),
            "twist": self._twist,
            "revoke": self._revoke,
            "clone": self._clone,
        }

    def _cut(self, edge: Edge) -> None:
        """Seconds, minutes or hours without the WAN."""
        draw = self.chance.random()
        longest = 15.0 if draw < 0.5 else 600.0 if draw < 0.95 else 4 * HOUR
        edge.link.cut("wan")
        later(longest * self.chance.random(), lambda: edge.link.heal("wan"))

    def _arm(self, edge: Edge) -> None:
        edge.life.arm(self._place(EDGE_PLACES), self._act())

    def _arm_control(self) -> None:
        self.cloud.life.arm(self._place(CLOUD_PLACES), self._act())

    def _place(self, among: Sequence[FailpointName]) -> FailpointName:
        places = self.places or among
        return places[int(self.chance.random() * len(places))]

    def _act(self) -> Act:
        return self.acts[int(self.chance.random() * len(self.acts))]

    def _fill(self, edge: Edge) -> None:
        box = edge.box
        box.outbox.full = box.disk.full = True

        def empty() -> None:
            box.outbox.full = box.disk.full = False

        later(300.0 * self.chance.random(), empty)

    def _storm(self) -> None:
        for edge in self.edges:
            edge.link.reset()

    def _step(self, edge: Edge) -> None:
        """The wall clock jumps, up to a day to either side."""
        edge.box.clock.wrong_us = int((2.0 * self.chance.random() - 1.0) * DAY_US)

    def _leap(self) -> None:
        """All clocks go ahead, control's too: a third of the times certificates are over."""
        hours = 36.0 * self.chance.random()
        self.trace.note(f"all clocks go ahead by {hours:.1f} h")
        leap(hours * HOUR)

    def _twist(self, edge: Edge) -> None:
        """The next messages come twice, in another order, changed, or not at all."""
        for _ in range(1 + int(3 * self.chance.random())):
            edge.link.twists.append(TWISTS[int(len(TWISTS) * self.chance.random())])

    def _revoke(self, edge: Edge) -> None:
        """An operator revokes a node; whoever looks after the machine lets it join anew."""
        desk = self.cloud.desk
        if desk is None or edge.node is None:
            return
        try:
            node = desk.roster.revoke(edge.node)
        except Killed:
            self.cloud.kill()
        except LittoralError as error:
            self.trace.note(f"nobody revokes {edge.name}: {error.code}")
        else:
            desk.fleet.learn(node)
            desk.links.end(node.id, "revoked")
            desk.bell.ring()

    def _clone(self, edge: Edge) -> None:
        """A second machine runs with a copy of this one's disk."""
        if edge not in self._cloned and edge.node is not None:
            both = [edge, self.clone(edge)]
            edge.country.books.purse.copied(LoopClock().wall())
            self._cloned += both
            later(ALARMED * self.chance.random(), lambda: self._part(both))

    def _part(self, machines: Sequence[Edge]) -> None:
        """Do what people are told to do where a disk was copied: revoke it, both join anew."""
        for edge in machines:
            self._revoke(edge)

    def _keep(self) -> None:
        self._backup = self.cloud.backup()

    def _roll_back(self) -> None:
        if self._backup is None:
            return
        self.cloud.roll_back(self._backup)
        for edge in self.edges:
            if edge.node is not None and self._backup.value(f"node/{edge.node}") is None:
                edge.country.books.purse.forgotten(LoopClock().wall())
                edge.join_anew()  # nobody knows it any more: as its status says
