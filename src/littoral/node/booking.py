"""Booking: from slots of the flight table to records in the outbox, each exactly once.

A slot is given back only when its record is on disk. Whoever dies in between leaves the slot, and
the next reader books it; (request, attempt) is unique in the outbox, so twice counts once.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

import anyio

from littoral.domain.errors import LittoralError, StorageFull
from littoral.domain.flight import OPEN, SLOT_BYTES, Flight, free, read
from littoral.domain.ids import EndpointId
from littoral.domain.ports import Failpoints, Outbox
from littoral.domain.quota import Lost
from littoral.domain.units import Seconds, Tokens
from littoral.domain.usage import UsageRecord
from littoral.node.board import Board
from littoral.node.limits import LimitRows
from littoral.node.signal import Signal

RETRY = Seconds(1.0)
GROUP = 512
"""Most records of one commit."""


class FlightTable:
    """The node's view of the flight table.

    Args:
        memory: The mapped file.
    """

    def __init__(self, memory: memoryview) -> None:
        self.memory = memory
        self._states = memory[::SLOT_BYTES]

    def flights(self, slots: Iterable[int]) -> list[Flight]:
        """The flights in these slots; those that are free or not there are left out."""
        known = range(len(self._states))
        found = (read(self.memory, slot) for slot in slots if slot in known)
        return [flight for flight in found if flight is not None]

    def all(self) -> list[Flight]:
        """Every flight."""
        return self.flights(i for i, state in enumerate(bytes(self._states)) if state)

    def open(self) -> list[UsageRecord]:
        """What requests under way have used until now."""
        states = bytes(self._states)
        return [each.record for each in self.flights(i for i, s in enumerate(states) if s == OPEN)]

    def free(self, flights: Iterable[Flight]) -> tuple[int, ...]:
        """Give slots back; returns them."""
        slots = tuple(flight.index for flight in flights)
        for slot in slots:
            free(self.memory, slot)
        return slots


class Booking:
    """Books what the gateway settled, in groups, for as long as it takes.

    Args:
        table: Where the flights are.
        outbox: Where their records go.
        limits: Is told what was booked, and settles for a gateway that died.
        failpoints: Hit between the sync and giving the slots back.
        board: Is told when the disk refuses.
        booked: Called with the flights of each group once their records are on disk.
        column: The gateway's in the quota table.
    """

    def __init__(  # noqa: PLR0913  the ports of one gateway's books
        self,
        table: FlightTable,
        outbox: Outbox,
        limits: LimitRows,
        *,
        failpoints: Failpoints,
        board: Board,
        booked: Callable[[Sequence[Flight]], None],
        column: int = 1,
    ) -> None:
        self._table = table
        self._outbox = outbox
        self._limits = limits
        self._column = column
        self.tried = anyio.Event()
        self._failpoints = failpoints
        self._board = board
        self._booked = booked
        self._waiting: list[int] = []
        self._arrived = Signal()
        self._ended = Signal()

    def settled(self, slots: Sequence[int]) -> None:
        """Take note that these slots hold finished requests; the table bounds how many."""
        self._waiting.extend(slots)
        self._arrived.notify()
        self._ended.notify()

    def blocked(self) -> bool:
        """Whether another gateway is inside the limits, so that this one may have to wait."""
        return self._limits.held_by_other(self._column)

    async def leftovers(self) -> int:
        """Book every slot, settled or not; only while its gateway is dead. Returns how many.

        What the gateway left half done is undone: a request that it was admitting never was, one
        that it was settling is still open.
        """
        self._waiting.clear()
        lost = await self._limits.lost(self._column)
        flights = self._table.all()
        if lost.opening:
            self._table.free([each for each in flights if each.index == lost.slot])
            flights = [each for each in flights if each.index != lost.slot]
        for start in range(0, len(flights), GROUP):
            await self._book(flights[start : start + GROUP], lost=lost)
        self._limits.buried(self._column)
        self.tried.set()
        self._ended.notify()
        return len(flights)

    async def run(self, freed: Callable[[tuple[int, ...]], Awaitable[None]]) -> None:
        """Book what is settled until cancelled, and tell ``freed`` which slots may be used."""
        while True:
            if not self._waiting:
                await self._arrived.wait()
            slots, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            flights = [each for each in self._table.flights(slots) if each.settled]
            done = await self._book(flights)
            if done:
                await freed(done)

    async def idle(self, endpoint: EndpointId) -> None:
        """Wait until no request is open on an endpoint."""
        while any(record.endpoint == endpoint for record in self._table.open()):
            await self._ended.wait()

    async def _book(self, flights: Sequence[Flight], lost: Lost | None = None) -> tuple[int, ...]:
        """Append, and give back; ``lost`` where the gateway is dead and cannot settle."""
        recorded = await self._record([flight for flight in flights if not flight.guest])
        self._failpoints.hit("slots.freed")
        self._limits.booked(recorded)
        done = self._table.free(flights)
        self._booked(flights)
        for flight in flights:
            if lost is not None and (not flight.settled or flight.index == lost.slot):
                await self._limits.settle(
                    self._column, _unspent(flight) if flight.guest else flight
                )
        return done

    async def _record(self, flights: Sequence[Flight]) -> Sequence[Flight]:
        """Append the records of flights; returns those whose are on disk now.

        That is all of them, however long it takes; without those that have no budget where there
        is no room and the operator lets them go unrecorded.
        """
        while flights:
            try:
                await self._outbox.append([flight.record for flight in flights])
            except LittoralError as error:
                if self._board.brim.refused(error):
                    self._board.say_error("outbox", error)
                self.tried.set()
                flights = self._counted(flights, error)
                await anyio.sleep(RETRY if flights else 0)
            else:
                if self._board.brim.accepted():
                    self._board.say("outbox", "outbox_recovered", "usage records are written again")
                break
        return flights

    def _counted(self, flights: Sequence[Flight], error: LittoralError) -> Sequence[Flight]:
        """Those of flights that must be recorded, whatever happens."""
        brim = self._board.brim
        if not brim.unmetered or not isinstance(error, StorageFull):
            return flights
        kept = [flight for flight in flights if self._limits.is_budgeted(flight.record)]
        brim.skipped += len(flights) - len(kept)
        return kept


def _unspent(flight: Flight) -> Flight:
    """The flight of a run that is begun again elsewhere, as if nothing had been used."""
    none = Tokens(0)
    return replace(flight, record=replace(flight.record, tokens_in=none, tokens_out=none, cost=0.0))
