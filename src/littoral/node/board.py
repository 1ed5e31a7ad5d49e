"""Board: what the gateway serves from and the fleet sees, in the one place where it changes."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from littoral.domain.endpoint import Endpoint, Folded, Machine
from littoral.domain.enrolment import Inventory
from littoral.domain.errors import LittoralError
from littoral.domain.ids import EndpointId
from littoral.domain.loads import ENDPOINTS
from littoral.domain.neighbour import steady
from littoral.domain.node import Event, Level, Link, NodeStatus, Speed, Store
from littoral.domain.ports import Clock, Sink
from littoral.domain.session import Endpoints, Folds, Frame, Reach, Tables
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Bytes, Seconds
from littoral.node.brim import Brim
from littoral.node.fence import Fences
from littoral.node.signal import Signal
from littoral.node.ways import Ways

MAX_EVENTS = 1000
"""Events that wait to be written down; of more the oldest are lost."""


SERVING = frozenset({"ready", "degraded"})
"""States of an endpoint that takes requests."""


Report = Callable[[dict[str, int]], None]
"""Told role and pid of all child processes."""


class Board:
    """Snapshot, endpoints, coefficients, processes and recent events of one node.

    Args:
        clock: Dates the events.
        sink: Takes every event.
        report: Called with role and pid of all child processes when they change.
    """

    store: Store | None = None

    def __init__(self, *, clock: Clock, sink: Sink, report: Report) -> None:
        self.changed = Signal()
        self.fences = Fences(self.changed)
        self.machine = Machine(cores=1, memory=Bytes(0), memory_free=Bytes(0))
        self.brim = Brim(self.changed, clock)
        self._trouble: dict[str, str] = {}
        self.inventory: Inventory | None = None
        self.link: Link | None = None
        self._speeds: dict[EndpointId, tuple[Speed, ...]] = {}
        self._clock, self._sink, self._report = clock, sink, report
        self._snapshot: Snapshot | None = None
        self._endpoints: dict[EndpointId, Endpoint] = {}
        self._remotes: dict[EndpointId, Endpoint] = {}
        self._reached = Ways()
        self._near: dict[EndpointId, Endpoint] = {}
        self._ways: dict[EndpointId, Endpoint] = {}
        self._trip_s = Seconds(0.0)
        self.peer = self._cut = ""
        self._shown: tuple[Endpoint, ...] = ()
        self._folds: dict[EndpointId, Folded] = {}
        self._loads: dict[EndpointId, int] = {}
        self._serving = frozenset[str]()
        self._pids: dict[str, int] = {}
        self._served: dict[str, tuple[int, int]] = {}
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._tables: Frame | None = None
        self._endpoints_frame: Frame = Endpoints(endpoints=())
        self._folds_frame = Folds(folds=())
        self._reach = Reach()
        self.on_death: Callable[[], None] = lambda: None

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot in force."""
        return self._snapshot

    def put_snapshot(self, snapshot: Snapshot, rows: Mapping[str, int] | None = None) -> None:
        """Serve from a new snapshot; ``rows`` say where its limits are counted."""
        self._snapshot = snapshot
        self._tables = Tables(snapshot=replace(snapshot, exams=()), rows=rows or {})
        self.changed.notify()

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """Add an endpoint, or change it."""
        if self._endpoints.get(endpoint.id) != endpoint:
            self._endpoints[endpoint.id] = endpoint
            self._endpoints_changed()

    def drop_endpoint(self, endpoint: EndpointId) -> None:
        """Forget an endpoint."""
        if self._endpoints.pop(endpoint, None) is not None:
            self._folds.pop(endpoint, None)
            self._speeds.pop(endpoint, None)
            self._endpoints_changed()

    def drain_endpoint(self, endpoint: EndpointId) -> None:
        """Send an endpoint nothing new."""
        known = self._endpoints.get(endpoint)
        if known is not None:
            self.put_endpoint(replace(known, state="draining", reason="being replaced or removed"))

    def put_remotes(self, endpoints: Iterable[Endpoint]) -> None:
        """Know these endpoints of other nodes, and no others; control is there."""
        remotes = {endpoint.id: endpoint for endpoint in endpoints}
        if remotes != self._remotes or self._cut:
            self._remotes, self._cut = remotes, ""
            self._endpoints_changed()

    def cut_off(self, reason: str) -> None:
        """Send nothing through control while there is a reason, until there is none any more."""
        if self._cut != reason:
            self._cut = reason
            self._endpoints_changed()

    def put_near(self, endpoints: Iterable[Endpoint]) -> None:
        """Know these endpoints of nodes that are reached without control, and no others."""
        near = {endpoint.id: endpoint for endpoint in endpoints}
        if near != self._near:
            self._near = near
            self._endpoints_changed()

    def put_link(self, link: Link) -> None:
        """Know how good the way to control is: ways through it are as long at least."""
        self.link = link
        trip_s = steady(self._trip_s, link.rtt_s)
        if trip_s != self._trip_s:
            self._trip_s = trip_s
            self._endpoints_changed()

    def slots_of(self, endpoint: EndpointId) -> int:
        """How many requests an endpoint serves at once; 1 where it is unknown."""
        known = self._endpoints.get(endpoint) or self._ways.get(endpoint)
        return 1 if known is None else known.slots

    def serves(self, model: str) -> bool:
        """Whether an endpoint of a model, here or elsewhere, takes requests now."""
        return model in self._serving

    def link_of(self, endpoint: EndpointId) -> float:
        """Round trip to an endpoint of another node, seconds; 0 for our own."""
        known = self._ways.get(endpoint)
        return 0.0 if known is None or known.via is None else known.via.rtt_s

    @property
    def pids(self) -> list[int]:
        """All child processes."""
        return list(self._pids.values())

    def put_folds(
        self, folds: Iterable[Folded], lengths: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        """Use newer coefficients, and other ``lengths`` where they are given."""
        known = self._endpoints.keys() | self._ways.keys()
        self._folds |= {fold.endpoint: fold for fold in folds if fold.endpoint in known}
        held = self._folds_frame.lengths if lengths is None else lengths
        self._folds_frame = Folds(folds=tuple(self._folds.values()), lengths=held)
        self.changed.notify()

    def put_reach(self, reach: Reach) -> None:
        """Tell the gateways how this node stands to control."""
        if reach != self._reach:
            self._reach = reach
            self.changed.notify()

    @property
    def trouble(self) -> tuple[str, ...]:
        """What is wrong now, in sentences."""
        return tuple(self._trouble.values())

    def put_trouble(self, topic: str, sentence: str) -> bool:
        """Show what is wrong with something; empty: nothing is. Returns whether that is news."""
        if self._trouble.get(topic, "") == sentence:
            return False
        self._trouble.pop(topic, None)
        if sentence:
            self._trouble[topic] = sentence
        self.changed.notify()
        return True

    def put_speeds(self, endpoint: EndpointId, speeds: tuple[Speed, ...]) -> None:
        """Show how fast an engine was."""
        self._speeds[endpoint] = speeds
        self.changed.notify()

    def put_pid(self, role: str, pid: int | None) -> None:
        """Note that a child process runs, or (None) does not."""
        if pid is None:
            self._pids.pop(role, None)
            self._served.pop(role, None)
            self.fences.gone(role)
            self.changed.notify()
        else:
            self._pids[role] = pid
        self._report(dict(self._pids))

    def gateway_died(self) -> None:
        """A gateway ended that should not have."""
        self.on_death()

    def put_served(self, role: str, snapshot: tuple[int, int]) -> None:
        """Note which snapshot a gateway serves from."""
        if self._served.get(role) != snapshot:
            self._served[role] = snapshot
            self.changed.notify()

    async def all_serve(self, snapshot: tuple[int, int]) -> None:
        """Wait until every gateway that lives serves from a snapshot, or a newer one."""
        while min(self._served.values(), default=snapshot) < snapshot:
            await self.changed.wait()

    def say(self, subject: str, code: str, message: str, *, level: Level = "info") -> None:
        """Tell people what happened."""
        event = Event(
            at_us=self._clock.wall(), level=level, subject=subject, code=code, message=message
        )
        self._sink.emit(event)
        self.hear(event)

    def hear(self, event: Event) -> None:
        """Take an event that the sink knows already."""
        self._events.append(event)
        self.changed.notify()

    def say_error(self, subject: str, error: LittoralError) -> None:
        """Tell people of an error."""
        self.say(subject, error.code, error.message, level="error")

    def frames(self) -> tuple[Frame, ...]:
        """What a gateway must know now; an unchanged frame is the same object.

        The tables are the last: a gateway that has them begins to take requests.
        """
        local = self._reach, self.brim.frame, self.fences.frame
        rest = (self._endpoints_frame, self._folds_frame, *local)
        return rest if self._tables is None else (*rest, self._tables)

    def status(self) -> NodeStatus:
        """What the fleet should know now, without events."""
        held = self._snapshot
        return NodeStatus(
            machine=self.machine,
            endpoints=self._shown,
            snapshot=(0, 0) if held is None else (held.epoch, held.version),
            outbox_depth=self.brim.waiting,
            inventory=self.inventory,
            speeds=tuple(speed for found in self._speeds.values() for speed in found),
            link=self.link,
            trouble=self.trouble,
            peer=self.peer,
            store=self.store,
        )

    @property
    def shown(self) -> tuple[Endpoint, ...]:
        """This node's own endpoints as others may see them."""
        return self._shown

    @property
    def own(self) -> tuple[Endpoint, ...]:
        """This node's own endpoints, with what their engines want to be shown."""
        return tuple(self._endpoints.values())

    @property
    def has_events(self) -> bool:
        """Whether there are events nobody has taken."""
        return bool(self._events)

    def take_events(self) -> tuple[Event, ...]:
        """The events since the last call."""
        events = tuple(self._events)
        self._events.clear()
        return events

    def _endpoints_changed(self) -> None:
        remotes = self._reached.through(self._remotes, cut=self._cut, trip_s=self._trip_s)
        self._ways = remotes | self._near
        every = self._endpoints | self._ways
        for endpoint in every:
            if len(self._loads) < ENDPOINTS:
                self._loads.setdefault(endpoint, len(self._loads))
        loads = {each: at for each, at in self._loads.items() if each in every}
        self._endpoints_frame = Endpoints(endpoints=tuple(every.values()), loads=loads)
        self._serving = frozenset(e.serves for e in every.values() if e.state in SERVING)
        own = self._endpoints.values()
        self._shown = tuple(replace(each, credential=None) for each in own)
        self.changed.notify()
