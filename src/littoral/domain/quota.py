"""The quota table: what is used of every limit, in memory that all gateways of a node share.

Each limited key, project and model has a row. A row's shared words are its two rates (theoretical
arrival times of the generic cell rate algorithm) and its budget's period. What is under way stands
in columns, one for each gateway and one for the node, and each column is written by its owner only:
requests, tokens and money reserved by open requests, and money spent since the column began.

    taken = sum over all columns of (reserved + spent) - base

``base`` is that sum at the period's begin. A request is admitted, and settled, in one section
between ``acquire`` and ``seal``. A gateway that dies inside leaves a journal with the old values of
every row that it touched: whoever enters next, or the node, puts them back, so a section happens as
a whole or not at all. The section of an open request ends after its slot of the flight table is
written: slots and columns always agree.

Words are signed, 64 bits, native. The file outlives every process, but not the machine: rates are
kept by the monotonic clock of one boot.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from littoral.domain.limits import PERIODS, period_of
from littoral.domain.loads import ENDPOINTS, Loads
from littoral.domain.words import WORD_BYTES, Words

MAGIC = 0x4C49544C494D0003
ROWS = 16_384
"""Most limited keys, projects and models of a node."""
NAME_BYTES = 128

_HEAD = 16
_MAGIC, _OWNER, _BOOT, _TOP = range(4)
"""Of these the last is how many rows from the first one on were ever named: what lies beyond is
neither read nor written, and so takes no memory."""
_SHARED = 16
REQUESTS, TOKENS, BASE, SINCE, UNTIL, PACE_IN, INTERVAL_IN = range(7)
"""Words of a row that requests change: both rates' arrival times in ns, money at the period's
begin, the period in microseconds, and the two words below in which the arrival times are told."""
PACE, INTERVAL, PERIOD, OPEN, CAP, CAP_SINCE, STANDING = range(7, 14)
"""Words that the node writes: the nanoseconds in which one request and one token come back, the
number of the period, how many requests may be open; money for the period that begins at
``CAP_SINCE``, and for each later one. They are this node's share; 0 is none."""
DENIED, WANT = 14, 15
"""How many requests were refused, and the money of the last one that a budget refused."""
_KEPT = 7
_COLUMN = 4
COUNT, HELD, RESERVED, SPENT = range(_COLUMN)
"""Words of a row in a column: requests under way, tokens and money that they may still use, money
spent."""
_JOURNAL = 128
_FLAG, _SLOT, _LENGTH, _ENTRIES = range(4)
_ENTRY = 1 + _KEPT + _COLUMN
IDLE, INSIDE, UNDONE = range(3)


class Guard(Protocol):
    """Mutual exclusion between processes; the kernel lets go for one that dies."""

    def acquire(self) -> None:
        """Wait until nobody else is inside."""
        ...

    def attempt(self) -> bool:
        """Enter if nobody else is inside; whether that was so."""
        ...

    def release(self) -> None:
        """Leave."""
        ...


class Charge(NamedTuple):
    """What an open request holds: the rows, and how many tokens and nano-units in each."""

    rows: tuple[int, ...]
    tokens: int
    money: int


class Use(NamedTuple):
    """The tokens and nano-units that a request may use, or has used.

    ``at_us`` is when it is admitted (UTC microseconds), ``now_ns`` now by the monotonic clock;
    ``calls`` is 0 for what goes on with a request that was counted before.
    """

    tokens: int
    money: int
    at_us: int
    now_ns: int
    calls: int = 1


class Lost(NamedTuple):
    """What a gateway that died inside a section was about to do: undone, or nothing.

    Slot -1 where it was in none. ``opening``: the request was not yet sent anywhere; else it was
    being settled, and still is open whatever its slot says.
    """

    slot: int
    opening: bool


def table_bytes(columns: int, rows: int = ROWS) -> int:
    """Size of a table with so many columns: one for each gateway, and the node's."""
    return WORD_BYTES * (
        _HEAD + rows * (NAME_BYTES // WORD_BYTES + _SHARED) + columns * _block(rows)
    )


def _block(rows: int) -> int:
    return _JOURNAL + rows * _COLUMN + ENDPOINTS


def renew(words: Words, boot: int, rows: int = ROWS) -> None:
    """Make memory a table: what another layout wrote is cleared, rates of another boot too.

    Memory that begins with 0 is new, and zero throughout.

    Only while no gateway lives.

    Args:
        words: All of it.
        boot: A number that no other boot of this machine has.
        rows: How many rows the table has.
    """
    if words[_MAGIC] != MAGIC:
        if words[_MAGIC]:
            words.cast("B")[:] = bytes(len(words) * WORD_BYTES)
        words[_MAGIC] = MAGIC
    if words[_BOOT] != boot:
        first = _HEAD + rows * NAME_BYTES // WORD_BYTES
        for at in range(first, first + words[_TOP] * _SHARED, _SHARED):
            words[at + REQUESTS] = words[at + TOKENS] = 0
        words[_BOOT] = boot
    words[_OWNER] = 0


def names(words: Words) -> dict[str, int]:
    """The rows that have a name."""
    rows = words[_TOP]
    data = bytes(words.cast("B")[_HEAD * WORD_BYTES : _HEAD * WORD_BYTES + rows * NAME_BYTES])
    found = ((data[i * NAME_BYTES : (i + 1) * NAME_BYTES].rstrip(b"\0"), i) for i in range(rows))
    return {name.decode("utf-8", "replace"): row for name, row in found if name}


def rename(words: Words, row: int, name: str) -> None:
    """Give a row to a limit, or (``""``) to none."""
    words[_TOP] = max(words[_TOP], row + 1)
    at = _HEAD * WORD_BYTES + row * NAME_BYTES
    words.cast("B")[at : at + NAME_BYTES] = name.encode().ljust(NAME_BYTES, b"\0")[:NAME_BYTES]


class QuotaTable:
    """One process's view of the table.

    Args:
        words: The memory, of ``table_bytes(columns, rows)`` bytes.
        columns: How many columns are counted; column 0 is the node's.
        mine: Which one this process writes.
        guard: None where no other process enters sections.
        rows: How many rows the table has.
    """

    def __init__(
        self, words: Words, *, columns: int, mine: int, guard: Guard | None = None, rows: int = ROWS
    ) -> None:
        self.words = words
        self.mine = mine
        self.rows = rows
        self._guard = guard
        self._shared = _HEAD + rows * NAME_BYTES // WORD_BYTES
        first = self._shared + rows * _SHARED
        self._journals = tuple(first + each * _block(rows) for each in range(columns))
        self._columns = tuple(at + _JOURNAL for at in self._journals)
        self._journal = self._journals[mine]
        self._own = self._columns[mine]

    @property
    def top(self) -> int:
        """How many rows from the first one on were ever named."""
        return self.words[_TOP]

    # what stands in a row

    def at(self, row: int) -> int:
        """Where a row's shared words begin."""
        return self._shared + row * _SHARED

    def under_way(self, row: int) -> int:
        """How many requests of a row are open."""
        words, place, total = self.words, row * _COLUMN, 0
        for column in self._columns:
            total += words[column + place]
        return total

    def held(self, row: int) -> int:
        """Tokens that open requests of a row may still use."""
        words, place, total = self.words, row * _COLUMN + HELD, 0
        for column in self._columns:
            total += words[column + place]
        return total

    def taken(self, row: int) -> int:
        """Money spent or reserved in a row's period, nano-units."""
        words, place = self.words, row * _COLUMN + RESERVED
        total = -words[self._shared + row * _SHARED + BASE]
        for column in self._columns:
            at = column + place
            total += words[at] + words[at + 1]
        return total

    def cap(self, row: int, since: int) -> int:
        """Money that this node may spend in a row in the period that begins then."""
        words, at = self.words, self._shared + row * _SHARED
        of = words[at + CAP_SINCE]
        if since < of:
            return 0
        return words[at + CAP if since == of else at + STANDING]

    def deny(self, row: int, money: int = 0) -> None:
        """Count a request that was refused."""
        words, at = self.words, self._shared + row * _SHARED
        words[at + DENIED] += 1
        if money:
            words[at + WANT] = money

    def repace(self, row: int, now_ns: int) -> None:
        """Tell the arrival times in today's intervals: what was used stays used."""
        words, at = self.words, self._shared + row * _SHARED
        for tat, new, old in ((REQUESTS, PACE, PACE_IN), (TOKENS, INTERVAL, INTERVAL_IN)):
            before, after = words[at + old], words[at + new]
            if before != after:
                ahead = words[at + tat] - now_ns
                if before and after and ahead > 0:
                    words[at + tat] = now_ns + ahead * after // before
                words[at + old] = after

    def clear(self, row: int) -> None:
        """Forget what every column holds of a row, and its period's base; rates stay."""
        self.words[self.at(row) + BASE] = 0
        for column in self._columns:
            at = column + row * _COLUMN
            for word in range(at, at + _COLUMN):
                self.words[word] = 0

    def spend(self, row: int, money: int) -> None:
        """Count money that no request of a gateway holds, in this process's own column."""
        self.words[self._own + row * _COLUMN + SPENT] += money

    def loads(self, column: int) -> Loads:
        """The loads of endpoints, as the owner of a column sees them."""
        starts = tuple(at + self.rows * _COLUMN for at in self._columns)
        return Loads(self.words, starts, column)

    @property
    def shared(self) -> bool:
        """Whether there are other gateways."""
        return self._guard is not None

    @property
    def owner(self) -> int:
        """The column of whoever is inside a section; -1 for nobody."""
        return self.words[_OWNER] - 1

    @property
    def journal(self) -> int:
        """Whether this process is inside a section that changes rows: ``IDLE`` where it is not."""
        return self.words[self._journal]

    # sections

    def acquire(self) -> None:
        """Enter: from here on no other process changes a row, and all rows are whole."""
        if self._guard is not None:
            self._guard.acquire()
            self._entered()

    def attempt(self) -> bool:
        """Enter if nobody else is inside; whether that was so."""
        if self._guard is not None:
            if not self._guard.attempt():
                return False
            self._entered()
        return True

    def _entered(self) -> None:
        """Undo what whoever was here last left half done, and say who is here now."""
        owner = self.words[_OWNER]
        if owner:
            self.undo(owner - 1)
        self.words[_OWNER] = self.mine + 1

    def leave(self) -> None:
        """Leave a section that changed nothing, or is sealed."""
        if self._guard is not None:
            self.words[_OWNER] = 0
            self._guard.release()

    def begin(self, rows: Sequence[int], slot: int, *, opening: bool) -> None:
        """Keep the old values of rows, before any of them changes.

        Args:
            rows: At most six.
            slot: Of the flight table, of the request that is being admitted or settled.
            opening: Whether it is being admitted.
        """
        words, journal = self.words, self._journal
        words[journal + _SLOT] = -slot - 1 if opening else slot + 1
        words[journal + _LENGTH] = len(rows)
        at = journal + _ENTRIES
        for row in rows:
            words[at] = row
            shared, own = self._shared + row * _SHARED, self._own + row * _COLUMN
            words[at + 1 : at + 1 + _KEPT] = words[shared : shared + _KEPT]
            words[at + 1 + _KEPT : at + _ENTRY] = words[own : own + _COLUMN]
            at += _ENTRY
        words[journal] = INSIDE

    def seal(self) -> None:
        """The section has happened; leave it."""
        self.words[self._journal] = IDLE
        if self._guard is not None:
            self.leave()

    def undo(self, column: int) -> Lost:
        """Put back what a dead process of this column changed inside a section.

        It may be called again, by whomever, until ``forget``: the answer stays the same.
        """
        words, journal = self.words, self._journals[column]
        if words[journal] == IDLE:
            return Lost(-1, opening=False)
        if words[journal] == INSIDE:
            at = journal + _ENTRIES
            for _ in range(words[journal + _LENGTH]):
                row = words[at]
                shared = self._shared + row * _SHARED
                own = self._columns[column] + row * _COLUMN
                words[shared : shared + _KEPT] = words[at + 1 : at + 1 + _KEPT]
                words[own : own + _COLUMN] = words[at + 1 + _KEPT : at + _ENTRY]
                at += _ENTRY
            words[journal] = UNDONE
        slot = words[journal + _SLOT]
        return Lost(abs(slot) - 1, opening=slot < 0)

    # what sections do

    def since(self, row: int, at_us: int) -> int:
        """When the period begins in which a row's next request counts, if it comes then."""
        words, at = self.words, self._shared + row * _SHARED
        if at_us < words[at + UNTIL]:
            return words[at + SINCE]
        return period_of(PERIODS[words[at + PERIOD]], at_us)[0]

    def roll(self, row: int, at_us: int) -> None:
        """Begin the period in which a moment lies: nothing is spent in it yet."""
        words, at = self.words, self._shared + row * _SHARED
        words[at + BASE] += self.taken(row)
        words[at + SINCE], words[at + UNTIL] = period_of(PERIODS[words[at + PERIOD]], at_us)

    def reserve(self, row: int, tokens: int, money: int) -> None:
        """A request is admitted."""
        words, at = self.words, self._own + row * _COLUMN
        words[at] += 1
        words[at + HELD] += tokens
        words[at + RESERVED] += money

    def settle(self, column: int, charge: Charge, used: Use) -> None:
        """A request ends: what it held comes back, what it used is counted.

        Tokens count from now on. Money counts in the period in which the request was admitted: of
        one that is over nothing changes, its reservation is part of ``base``.
        """
        words, first = self.words, self._columns[column]
        for row in charge.rows:
            at, shared = first + row * _COLUMN, self._shared + row * _SHARED
            words[at] -= 1
            words[at + HELD] -= charge.tokens
            interval = words[shared + INTERVAL]
            if interval:
                if words[shared + INTERVAL_IN] != interval:
                    self.repace(row, used.now_ns)
                tat = max(words[shared + TOKENS], used.now_ns)
                words[shared + TOKENS] = tat + used.tokens * interval
            words[at + RESERVED] -= charge.money
            if used.at_us < words[shared + SINCE]:
                words[shared + BASE] -= charge.money
            else:
                words[at + SPENT] += used.money

    def forget(self, column: int) -> None:
        """All slots of a dead process are booked: nothing of it is open, its journal is empty."""
        words, first = self.words, self._columns[column]
        for at in range(first, first + words[_TOP] * _COLUMN, _COLUMN):
            words[at] = words[at + HELD] = words[at + RESERVED] = 0
        self.loads(column).clear()
        words[self._journals[column]] = IDLE
