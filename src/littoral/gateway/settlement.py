"""Settlement: slots of the flight table, taken at admission and given back exactly once."""

from littoral.domain import flight
from littoral.domain.flight import FREE, OPEN, SLOT_BYTES, STATUSES
from littoral.domain.quota import Charge
from littoral.domain.usage import UsageRecord

OK, CANCELLED, FAILED, INTERRUPTED = range(len(STATUSES))


class Flights:
    """The slots of one gateway.

    A slot leaves the free list when it is taken and returns only through ``free``, after the node
    has synced its record. ``settled`` collects slots for the next report to the node.

    Args:
        buffer: The flight table; its free slots may be used, others are the node's to book.
    """

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        count = len(buffer) // SLOT_BYTES
        self._idle = [i for i in range(count - 1, -1, -1) if buffer[i * SLOT_BYTES] == FREE]
        self.size = len(self._idle)
        self.settled: list[int] = []

    @property
    def idle(self) -> int:
        """How many slots are free."""
        return len(self._idle)

    def take(self) -> int:
        """Take the slot freed last, or -1 where none is left."""
        return self._idle.pop() if self._idle else -1

    def put_back(self, slot: int) -> None:
        """Give back a slot that was taken and not opened."""
        self._idle.append(slot)

    def charge(self, slot: int, held: Charge) -> None:
        """Write what a request holds of limits, before its slot is opened with ``CHARGED``."""
        flight.charge(self._buffer, slot, held)

    def open(self, slot: int, header: tuple[float, ...], names: bytes, *, decided: int = 0) -> None:
        """Write an admitted request; from here on its record survives this process.

        Args:
            slot: From ``take``, or one that is open and moves to another place.
            header: The flight's fields from ``flags`` to ``price_out``.
            names: Its identity, as ``flight.identity`` joins it.
            decided: Why it was placed there, from ``domain.decided``.
        """
        flight.write(self._buffer, slot, state=OPEN, header=header, names=names, decided=decided)

    def count(self, slot: int, tokens_out: int) -> None:
        """Write how many tokens the client is about to have received."""
        flight.count(self._buffer, slot, tokens_out)

    def settle(self, slot: int, counts: tuple[int, ...]) -> None:
        """Write the final counts.

        Args:
            slot: One that is open.
            counts: The flight's fields from ``flags`` to ``total_us``; the others stand.
        """
        flight.settle(self._buffer, slot, counts)
        self.settled.append(slot)

    def record(self, slot: int) -> UsageRecord | None:
        """What a slot that was settled will be booked as."""
        found = flight.read(self._buffer, slot)
        return None if found is None else found.record

    def free(self, slots: tuple[int, ...]) -> None:
        """Take back slots whose records the node has synced."""
        for slot in slots:
            flight.free(self._buffer, slot)
        self._idle.extend(slots)

    def report(self) -> tuple[int, ...]:
        """Return the slots settled since the last report."""
        slots = tuple(self.settled)
        self.settled.clear()
        return slots
