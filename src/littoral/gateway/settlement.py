"""Settlement: slots of the flight table, taken at admission and given back exactly once."""

from struct import Struct

from littoral.domain import flight
from littoral.domain.flight import (
    FREE,
    HEADER,
    IDENTITY_BYTES,
    OPEN,
    SETTLED,
    SLOT_BYTES,
    STATUSES,
    TOKENS_OUT,
    TOKENS_OUT_OFFSET,
)

_WHOLE = Struct(f"{HEADER.format}{IDENTITY_BYTES}s")
"""A slot in one write: the header, then the names."""
_COUNTS = Struct(HEADER.format[:11])
"""The header up to ``total_us``."""
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

    def open(self, slot: int, header: tuple[float, ...], names: bytes) -> None:
        """Write an admitted request; from here on its record survives this process.

        Args:
            slot: From ``take``, or one that is open and moves to another place.
            header: The flight's fields from ``flags`` to ``price_out``.
            names: Its identity, as ``flight.identity`` joins it.
        """
        at = slot * SLOT_BYTES
        size = min(len(names), IDENTITY_BYTES)
        _WHOLE.pack_into(self._buffer, at, FREE, *header, size, names)
        self._buffer[at] = OPEN

    def count(self, slot: int, tokens_out: int) -> None:
        """Write how many tokens the client is about to have received."""
        TOKENS_OUT.pack_into(self._buffer, slot * SLOT_BYTES + TOKENS_OUT_OFFSET, tokens_out)

    def settle(self, slot: int, counts: tuple[int, ...]) -> None:
        """Write the final counts; the state byte last.

        Args:
            slot: One that is open.
            counts: The flight's fields from ``flags`` to ``total_us``; the others stand.
        """
        at = slot * SLOT_BYTES
        _COUNTS.pack_into(self._buffer, at, OPEN, *counts)
        self._buffer[at] = SETTLED
        self.settled.append(slot)

    def drop(self, slot: int) -> None:
        """Give back a slot that never held a request."""
        flight.free(self._buffer, slot)
        self._idle.append(slot)

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
