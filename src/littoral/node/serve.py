"""Serve: all parts of a node, put together and run until it is asked to stop."""

from collections.abc import Callable, Mapping, Sequence

import anyio
from anyio import to_thread

from littoral.domain.flight import Flight
from littoral.domain.ids import Digest, EndpointId
from littoral.domain.session import PROTOCOL, Frame, Hello, Remotes
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord
from littoral.node.board import Board
from littoral.node.booking import Booking, FlightTable
from littoral.node.clock import FloorClock
from littoral.node.converge import Converger
from littoral.node.deferral import deferrals_of
from littoral.node.engine import EngineParts
from littoral.node.findings import Findings
from littoral.node.gateway import GatewayKeeper
from littoral.node.learning import Learning
from littoral.node.limits import LimitRows
from littoral.node.memory import Promises
from littoral.node.parts import NodeParts
from littoral.node.previous import Previous
from littoral.node.recollection import Recollection
from littoral.node.relay import Relay
from littoral.node.reports import ReportParts, Reports
from littoral.node.session import SessionParts, Uplink
from littoral.node.shelf import Shelf
from littoral.node.strain import Strains
from littoral.node.tending import Tending, TendingParts
from littoral.node.wiring import artefacts_of, peers_of, sharing_of, snapshot_of, standing_of

FLUSH = Seconds(2.0)
"""How long a stop waits for control to store the last records; they are safe either way."""


class _Wired:
    """The parts of one node, knowing each other; nothing runs yet."""

    _restored = False

    def __init__(self, parts: NodeParts) -> None:
        self.parts = parts
        self.clock = FloorClock(parts.clock, parts.disk)
        self.board = Board(clock=self.clock, sink=parts.sink, report=parts.report)
        self.board.brim.unmetered = parts.serve_unmetered
        tables = [FlightTable(memory) for memory in parts.flights]
        pace = parts.patience.pace
        self.memory = Recollection(self.board, parts.disk, post=self._post, pace=pace)
        self.learning = Learning(
            self.board,
            open_now=lambda: [each for table in tables for each in table.open()],
            strains=Strains(self.clock, parts.strain),
            memory=self.memory,
        )
        self.limits = LimitRows(parts.quota, self.clock)
        self.sharing = sharing_of(parts, self.limits, self.board)
        self._wanted: Snapshot | None = None
        self.relay = Relay(parts.identity.node)
        self.peers = peers_of(parts, self.relay, self.board)
        late = deferrals_of(parts, self.clock, self.board, booked=self._run_booked)
        self.shelf = Shelf(parts.responses, clock=parts.clock, board=self.board, deferrals=late)
        self.findings = Findings(parts.outbox, self._news)
        self.bookings = [self._booking(table, at + 1) for at, table in enumerate(tables)]
        self.keepers = [
            GatewayKeeper(
                launch,
                board=self.board,
                booking=booking,
                shelf=self.shelf,
                relay=self.relay,
                findings=self.findings,
                clock=parts.clock,
                chance=parts.chance,
                patience=parts.patience,
                role="gateway" if len(parts.gateways) == 1 else f"gateway:{at}",
            )
            for at, (launch, booking) in enumerate(zip(parts.gateways, self.bookings, strict=False))
        ]
        self.converger = Converger(self._engine_parts(), idle=self._idle, previous=_slots(self))
        self.held = snapshot_of(parts, self.clock, self._swapped)
        self.standing = standing_of(parts, self.clock, self.held, board=self.board)
        self.board.on_death = self._died
        self.artefacts = artefacts_of(
            parts, self.peers, self.board, post=self._post, keys=self._signers
        )
        self.tending = Tending(self._tending_parts(tables))
        self.uplink = Uplink(self._session_parts())
        self.standing.reachable = lambda: self.uplink.reachable
        self.reports = Reports(self._report_parts())

    def _booking(self, table: FlightTable, column: int) -> Booking:
        return Booking(
            table,
            self.parts.outbox,
            self.limits,
            failpoints=self.parts.failpoints,
            board=self.board,
            booked=self._booked,
            column=column,
        )

    def _run_booked(self, records: Sequence[UsageRecord]) -> None:
        self.limits.spent(records)
        self.uplink.flush.appended()

    def _news(self) -> None:
        self.uplink.flush.news()

    async def _idle(self, endpoint: EndpointId) -> None:
        for booking in self.bookings:
            await booking.idle(endpoint)

    def _engine_parts(self) -> EngineParts:
        parts = self.parts
        return EngineParts(
            registry=parts.registry,
            locate=self._locate,
            clock=parts.clock,
            chance=parts.chance,
            failpoints=parts.failpoints,
            board=self.board,
            promises=Promises(),
            machine=parts.machine,
            patience=parts.patience,
        )

    async def _post(self, frame: Frame) -> None:
        await self.uplink.post(frame)

    def _signers(self) -> Mapping[str, bytes]:
        """The keys of whom this node believes, by its snapshot."""
        return {} if self._wanted is None else self._wanted.signers

    async def _locate(self, digest: Digest, tell: Callable[[str], None]) -> str | None:
        """Find a blob; its content is checked on first use, which takes its time."""
        if self.artefacts is not None:
            return await self.artefacts.locate(digest, tell)
        return await to_thread.run_sync(self.parts.blobs.path, digest)

    def _session_parts(self) -> SessionParts:
        parts, identity = self.parts, self.parts.identity
        hello = Hello(
            protocol=PROTOCOL,
            node=identity.node,
            name=identity.name,
            boot=identity.boot,
            build=identity.build,
            outbox=parts.outbox.name,
            snapshot=(0, 0),
            shares=True,
        )
        return SessionParts(
            network=parts.network,
            address=parts.session,
            hello=hello,
            held=self.held,
            standing=self.standing,
            outbox=parts.outbox,
            board=self.board,
            clock=parts.clock,
            chance=parts.chance,
            failpoints=parts.failpoints,
            patience=parts.patience,
            pace=parts.pace,
            relay=self.relay,
            artefacts=self.artefacts,
            told=self._told,
            sharing=self.sharing,
            hear=self.tending.hear,
            lost=self.tending.upkeep.lost,
        )

    def _tending_parts(self, tables: Sequence[FlightTable]) -> TendingParts:
        parts = self.parts
        return TendingParts(
            node=parts.identity.node,
            versions=parts.versions,
            keys=self._signers,
            locate=self._locate,
            artefacts=self.artefacts,
            serving=lambda: all(each.pulse is not None for each in self.keepers),
            tools=parts.tools,
            board=self.board,
            converger=self.converger,
            blobs=parts.blobs,
            disk=parts.disk,
            clock=self.clock,
            machine=parts.clock,
            chance=parts.chance,
            failpoints=parts.failpoints,
            under_way=lambda: sum(len(table.open()) for table in tables),
            busy=lambda name: sum(each.endpoint == name for t in tables for each in t.open()),
        )

    def _report_parts(self) -> ReportParts:
        parts = self.parts
        return ReportParts(
            board=self.board,
            outbox=parts.outbox,
            flush=self.uplink.flush,
            disk=parts.disk,
            clock=self.clock,
            machine=parts.machine,
            tools=parts.tools,
            overheard=parts.overheard,
            reachable=lambda: self.uplink.reachable,
            pace=parts.patience.pace,
        )

    def _booked(self, flights: Sequence[Flight]) -> None:
        self.learning.take(flights)
        self.reports.meter.take([each.record for each in flights if not each.guest])
        self.sharing.booked(flight.record for flight in flights if not flight.guest)
        self.uplink.flush.appended()

    def _swapped(self, snapshot: Snapshot) -> None:
        self._wanted = snapshot
        self.sharing.swapped(snapshot)
        self.relay.swapped(snapshot)
        self.peers.swapped(snapshot)
        self.converger.want(snapshot.assignments, first=not self._restored)
        if self._restored:
            self._publish(snapshot)

    def _told(self, remotes: Remotes) -> None:
        self.board.put_remotes(remotes.endpoints)
        self.peers.hinted(remotes.peers)

    def _died(self) -> None:
        said = self.held.died()
        if said:
            self.board.say("snapshot", "snapshot_rolled_back", said, level="error")

    def _publish(self, snapshot: Snapshot) -> None:
        rows = self.sharing.allot(snapshot)
        self.board.put_snapshot(snapshot, rows)

    def load(self) -> None:
        """Begin with the snapshot that is on disk, and say so where one cannot be used."""
        self.reports.begin()
        self.sharing.load()
        complaints = self.held.load()
        for complaint in complaints:
            self.board.say("snapshot", "snapshot_damaged", complaint, level="error")
        if complaints and self._wanted is None:
            self.board.say(
                "snapshot",
                "snapshot_lost",
                "neither snapshot on disk can be used: nothing is served until control sends one",
                level="error",
            )

    async def restore(self) -> None:
        """Book what earlier gateways left, and begin to count limits from what was spent."""
        async with anyio.create_task_group() as group:
            for booking in self.bookings:
                group.start_soon(booking.leftovers)
        spent = await self.parts.outbox.spent()
        self.limits.restore(spent, self._wanted.limits if self._wanted else ())
        self._restored = True
        self.converger.go_on()
        if self._wanted is not None:
            self._publish(self._wanted)

    async def keep(self) -> None:
        """Keep all gateways until they are told to stop."""
        async with anyio.create_task_group() as group:
            for keeper in self.keepers:
                group.start_soon(keeper.run)

    async def uplink_later(self) -> None:
        """Speak to control once what was left is booked, or the disk is full: then it helps.

        Records that control has stored are dropped here. One that is booked a second time must
        still meet the first, or its cost would count twice in a budget.
        """
        for booking in self.bookings:
            await booking.tried.wait()
        await self.uplink.run()


def _slots(node: _Wired) -> Previous:
    """What each deployment of a node served before."""
    parts = node.parts
    return Previous(parts.disk, node.clock, board=node.board, failpoints=parts.failpoints)


async def serve(parts: NodeParts, *, stop: anyio.Event) -> None:
    """Run a node: engines, gateway, outbox and session, until ``stop`` is set.

    It serves from its held snapshot at once and needs nobody. On ``stop`` the gateway finishes
    what is open, all of it is booked, control gets a moment to store it, then the engines end.
    """
    node = _Wired(parts)
    node.load()
    async with anyio.create_task_group() as group:
        group.start_soon(node.standing.run, parts.patience.pace)
        group.start_soon(node.learning.run)
        group.start_soon(node.learning.watch, parts.patience.pace)
        group.start_soon(node.memory.run)
        group.start_soon(node.converger.run)
        if node.artefacts is not None:
            group.start_soon(node.artefacts.run)
        group.start_soon(node.peers.run)
        group.start_soon(node.uplink_later)
        group.start_soon(node.reports.run)
        group.start_soon(node.shelf.run)
        group.start_soon(node.findings.run)
        group.start_soon(node.tending.run, node.uplink, parts.patience.pace)
        if parts.tunnel is not None:
            group.start_soon(node.relay.attach, parts.tunnel)

        async def stopper() -> None:
            await stop.wait()
            for keeper in node.keepers:
                keeper.stop()

        group.start_soon(stopper)
        await node.restore()
        await node.keep()
        with anyio.move_on_after(FLUSH):
            await node.uplink.flush.drained()
        node.memory.save()
        node.reports.end()
        group.cancel_scope.cancel()
