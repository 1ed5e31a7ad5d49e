"""An outbox in memory."""

from collections.abc import Sequence

from littoral.domain.errors import StorageFull
from littoral.domain.limits import Spent, spendings
from littoral.domain.usage import StoredRecord, UsageRecord


class MemoryOutbox:
    """Twin of ``Outbox``. ``full`` makes appends fail until a test clears it."""

    def __init__(self, name: str = "ob_memory") -> None:
        self.full = False
        self._name = name
        self._names = 1
        self._rows: dict[tuple[str, int], UsageRecord] = {}
        self._stored = 0
        self._spent: dict[tuple[str, int], int] = {}

    @property
    def name(self) -> str:
        """Identity of this outbox."""
        return self._name

    @property
    def _last(self) -> int:
        return self._stored + len(self._rows)

    async def append(self, records: Sequence[UsageRecord]) -> int:
        """Keep records; returns the last number given so far."""
        if self.full:
            raise StorageFull("no room for usage records")
        for record in records:
            if (record.request, record.attempt) not in self._rows:
                self._rows[record.request, record.attempt] = record
                for each in spendings([record]):
                    at = (each.limit, each.hour)
                    self._spent[at] = self._spent.get(at, 0) + each.amount
        return self._last

    async def read(self, after: int, limit: int) -> Sequence[StoredRecord]:
        """Records with seq above ``after``, in order, at most ``limit``."""
        numbered = enumerate(self._rows.values(), self._stored + 1)
        above = [StoredRecord(seq=seq, record=record) for seq, record in numbered if seq > after]
        return above[:limit]

    async def stored(self, upto: int) -> None:
        """Forget records up to ``upto``; above the last number, begin again under a new name."""
        if upto > self._last:
            self._names += 1
            self._name = f"{self._name.split('.')[0]}.{self._names}"
            self._stored = 0
            return
        for key in list(self._rows)[: max(0, upto - self._stored)]:
            del self._rows[key]
        self._stored = max(self._stored, upto)

    async def depth(self) -> int:
        """How many records wait to be stored."""
        return len(self._rows)

    async def spent(self) -> Sequence[Spent]:
        """What all records ever appended cost."""
        rows = self._spent.items()
        return [Spent(limit=limit, hour=hour, amount=amount) for (limit, hour), amount in rows]
