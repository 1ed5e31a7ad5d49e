"""Limits and budgets against a plain model, with four gateways of which any may die at any store.

The gateways, the node and their order are simulated; tables, sections, undoing, burial and the
count of what was spent are the product's own. For every request the product must say what the model
says: never one request, token or nano-unit too many, never a refusal too early.
"""

from array import array
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from littoral.domain import flight
from littoral.domain.flight import CHARGED, SLOT_BYTES
from littoral.domain.limits import (
    Budget,
    Limits,
    limit_ids,
    nanos,
    spendings,
)
from littoral.domain.quota import IDLE, Charge, QuotaTable, Use, renew, table_bytes
from littoral.domain.usage import UsageRecord
from littoral.gateway.quota import Gate, Quotas, gates_of
from littoral.gateway.refusal import Refusal
from littoral.gateway.settlement import OK, Flights
from littoral.node.limits import LimitRows
from littoral.testing.clock import SettableClock
from sim.plain_limits import Asking, Model

WORKERS, SLOTS, ROWS = 4, 6, 8
T = TypeVar("T")
NAMES = ("k1", "k2"), ("p",), ("m", "n")


def done(work: Coroutine[object, object, T]) -> T:
    """Run what never has to wait here."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


class DeathError(BaseException):
    """The process ends here."""


@dataclass
class Fuse:
    """Counts stores; the one at zero does not happen, or happens in part."""

    left: int = -1

    def burn(self) -> bool:
        """Whether this store is the last thing that happens."""
        self.left -= 1
        return self.left == -1


class Words(array):
    """Shared words whose writer may die in the middle of a store."""

    fuse: Fuse

    def __setitem__(self, place, value):
        if not self.fuse.burn():
            super().__setitem__(place, value)
            return
        if isinstance(place, slice):
            half = (place.start + place.stop) // 2
            super().__setitem__(slice(place.start, half), value[: half - place.start])
        raise DeathError

    def cast(self, form: str) -> memoryview:
        """Bytes, as a memoryview of words gives them."""
        return memoryview(self).cast(form)


class Bytes(bytearray):
    """A flight table whose writer may die before a store."""

    fuse: Fuse

    def __setitem__(self, place, value):
        if self.fuse.burn():
            raise DeathError
        super().__setitem__(place, value)


class Lock:
    """Mutual exclusion: the simulation has one process at a time, deaths let go."""

    held_by: "Worker | None" = None

    def __init__(self, owner: "Worker | None") -> None:
        self.owner = owner

    def acquire(self) -> None:
        assert Lock.held_by is None, "two are inside"
        Lock.held_by = self.owner

    def attempt(self) -> bool:
        self.acquire()
        return True

    def release(self) -> None:
        Lock.held_by = None


@dataclass
class Worker:
    """One gateway: its flight table, and what it has open."""

    number: int
    words: Words
    alive: bool = True
    table: Bytes = field(default_factory=lambda: Bytes(SLOTS * SLOT_BYTES))
    open: dict[int, tuple[Asking, Charge | None]] = field(default_factory=dict)

    def start(self, fuse: Fuse) -> None:
        """Begin, or begin again."""
        self.alive = True
        self.table.fuse = fuse
        self.open.clear()
        self.flights = Flights(self.table)
        self.quota = QuotaTable(
            self.words, columns=WORKERS + 1, mine=self.number + 1, guard=Lock(self), rows=ROWS
        )
        self.quotas = Quotas(self.quota)


RATES = st.none() | st.integers(2, 12)
LIMITS = st.builds(
    Limits,
    requests_per_minute=RATES,
    tokens_per_minute=st.none() | st.integers(40, 200),
    concurrent=st.none() | st.integers(1, 6),
    budget=st.none()
    | st.builds(
        Budget,
        amount=st.integers(100, 600).map(lambda n: n / 1e6),
        period=st.sampled_from(("hour", "day", "month", "total")),
    ),
)
LIMITED = [limit_ids(k, p, m) for k in NAMES[0] for p in NAMES[1] for m in NAMES[2]]
IDS = sorted({name for names in LIMITED for name in names})
DEATHS = st.just(-1) | st.just(-1) | st.just(-1) | st.integers(0, 40)
NUMBERS = st.integers(0, WORKERS - 1)
ASKS = st.tuples(
    NUMBERS,
    st.sampled_from(NAMES[0]),
    st.sampled_from(NAMES[2]),
    st.integers(1, 20),
    st.integers(0, 60_000),
    DEATHS,
)
ENDS = st.tuples(NUMBERS, st.integers(0, SLOTS), st.integers(0, 30), DEATHS)
TIMES = st.sampled_from((0.001, 0.5, 3.0, 12.0, 20.0, 61.0, 3600.0, 90_000.0))


class FourGateways(RuleBasedStateMachine):
    """Admissions, settlements, deaths and burials in any order."""

    def __init__(self) -> None:
        super().__init__()
        Lock.held_by = None
        self.fuse = Fuse()
        self.clock = SettableClock()
        self.clock.advance(10_000_000.0)
        size = table_bytes(WORKERS + 1, ROWS)
        self.words = Words("q", bytes(size))
        self.words.fuse = self.fuse
        self.model = Model()
        self.outbox: list[UsageRecord] = []
        self.workers = [Worker(number, self.words) for number in range(WORKERS)]
        self.serial = 0

    @initialize(limits=st.dictionaries(st.sampled_from(IDS), LIMITS, min_size=1, max_size=4))
    def begin(self, limits: dict[str, Limits]) -> None:
        self.model.limits = limits
        self.node_starts()

    def node_starts(self) -> None:
        renew(self.words, 1, ROWS)
        table = QuotaTable(self.words, columns=WORKERS + 1, mine=0, guard=Lock(None), rows=ROWS)
        self.rows = LimitRows(table, self.clock)
        for worker in self.workers:
            self.bury(worker)
        self.rows.restore(spendings(self.outbox), self.model.limits)
        given = self.rows.allot(self.model.limits)
        self.gates = gates_of(self.model.limits, given)
        for worker in self.workers:
            worker.start(self.fuse)

    @property
    def now_ns(self) -> int:
        return int(self.clock.now() * 1e9)

    def with_fuse(self, left: int, work: Callable[[], None]) -> bool:
        """Do work that may end in a death; whether it lived."""
        self.fuse.left = left
        try:
            work()
        except DeathError:
            return False
        finally:
            self.fuse.left = -1
        return True

    # rules

    @rule(asks=st.lists(ASKS, min_size=1, max_size=8))
    def some_ask(self, asks: list[tuple[int, str, str, int, int, int]]) -> None:
        for each in asks:
            self.ask(*each)

    def ask(self, number: int, key: str, model: str, tokens: int, money: int, death: int) -> None:
        worker = self.workers[number]
        if not worker.alive:
            return
        slot = worker.flights.take()
        if slot < 0:
            return
        asking = Asking((key, "p", model), tokens, money, self.clock.wall())
        fits = self.model.fits(asking, self.now_ns)
        names = limit_ids(*asking.names)
        gates = [self.gates[name] for name in names if name in self.gates]
        said: list[bool] = []
        if self.with_fuse(death, lambda: said.append(self.admit(worker, asking, gates, slot))):
            assert said == [fits], (asking, fits)
            if fits:
                self.model.admit(asking, self.now_ns)
            else:
                worker.flights.put_back(slot)
            return
        assert fits or not said
        self.died(worker)
        if worker.table[slot * SLOT_BYTES] and self.whole(worker):
            self.model.admit(asking, self.now_ns)
            worker.open[slot] = asking, None

    def admit(self, worker: Worker, asking: Asking, gates: list[Gate], slot: int) -> bool:
        wish = Use(asking.tokens, asking.money, asking.at_us, self.now_ns)
        charge = None
        if gates:
            found = worker.quotas.admit(gates, wish, slot)
            if isinstance(found, Refusal):
                return False
            charge = found if found.rows else None
        self.serial += 1
        text = (f"r{self.serial}", *asking.names[1::-1], asking.names[2], "d", "e@1")
        if charge is not None:
            worker.flights.charge(slot, charge)
        price = 2.0
        flags = CHARGED if charge is not None else 0
        header = (flags, OK, 0, 3, 0, 0, asking.at_us, 0, 0, 0, 0, price, price)
        worker.flights.open(slot, header, flight.identity(text))
        if gates:
            worker.quotas.seal()
        worker.open[slot] = asking, charge
        return True

    @rule(ends=st.lists(ENDS, min_size=1, max_size=5))
    def some_end(self, ends: list[tuple[int, int, int, int]]) -> None:
        for each in ends:
            self.settle(*each)

    def settle(self, number: int, pick: int, out: int, death: int) -> None:
        worker = self.workers[number]
        if not worker.alive or not worker.open:
            return
        slot = sorted(worker.open)[pick % len(worker.open)]
        asking, charge = worker.open[slot]
        cost = flight.cost_of(3, out, price_in=2.0, price_out=2.0)

        def work() -> None:
            if charge is not None:
                used = Use(3 + out, nanos(cost), asking.at_us, self.now_ns)
                worker.quotas.settle(charge, slot, used)
            flags = CHARGED if charge is not None else 0
            worker.flights.settle(slot, (flags, OK, 0, 3, 0, out, asking.at_us, 0, 0))
            if charge is not None:
                worker.quotas.seal()

        lived = self.with_fuse(death, work)
        settled = worker.table[slot * SLOT_BYTES] == flight.SETTLED
        if lived or (settled and self.whole(worker)):
            self.model.settle(asking, 3 + out, nanos(cost), self.now_ns)
            del worker.open[slot]
        if not lived:
            self.died(worker)

    def died(self, worker: Worker) -> None:
        worker.alive = False
        if Lock.held_by is worker:
            Lock.held_by = None

    def whole(self, worker: Worker) -> bool:
        """Whether a gateway died outside any section."""
        table = QuotaTable(self.words, columns=WORKERS + 1, mine=worker.number + 1, rows=ROWS)
        return table.journal == IDLE

    @rule(number=NUMBERS)
    def one_is_replaced(self, number: int) -> None:
        worker = self.workers[number]
        self.died(worker)
        self.bury(worker)
        worker.start(self.fuse)

    def bury(self, worker: Worker) -> None:
        """What the node does before it starts another gateway."""
        column = worker.number + 1
        lost = done(self.rows.lost(column))
        for slot in range(SLOTS):
            found = flight.read(worker.table, slot)
            if found is None:
                continue
            if lost.opening and lost.slot == slot:
                flight.free(worker.table, slot)
                continue
            if not found.settled or lost.slot == slot:
                done(self.rows.settle(column, found))
            if slot in worker.open:
                record = found.record
                used = record.tokens_in + record.tokens_out
                asking = worker.open[slot][0]
                self.model.settle(asking, used, nanos(record.cost), self.now_ns)
            self.book(worker, found)
        worker.open.clear()
        self.rows.buried(column)

    def book(self, worker: Worker, found: flight.Flight) -> None:
        self.outbox.append(found.record)
        self.rows.booked([found])
        flight.free(worker.table, found.index)

    @rule(number=NUMBERS)
    def node_books(self, number: int) -> None:
        worker = self.workers[number]
        if not worker.alive:
            return
        for slot in worker.flights.report():
            found = flight.read(worker.table, slot)
            assert found is not None
            self.book(worker, found)
            worker.flights.free((slot,))

    @rule(really=st.integers(0, 3))
    def everything_starts_again(self, really: int) -> None:
        if really:
            return
        for worker in self.workers:
            self.died(worker)
        self.node_starts()

    @rule(seconds=TIMES)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.model.limits)
    @invariant()
    def open_requests_are_counted_while_they_are_open(self) -> None:
        if any(not self.whole(worker) for worker in self.workers):
            return
        table = QuotaTable(self.words, columns=WORKERS + 1, mine=0, rows=ROWS)
        for name, gate in self.gates.items():
            if gate.holds:
                mine = [each for each in self.model.open if name in limit_ids(*each.names)]
                assert table.under_way(gate.row) == len(mine)
                assert table.held(gate.row) == sum(each.tokens for each in mine)


TestFourGateways = FourGateways.TestCase
TestFourGateways.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


class ManyGateways(FourGateways):
    """The same, for as long as it takes."""


TestManyGateways = ManyGateways.TestCase
TestManyGateways.settings = settings(max_examples=3000, stateful_step_count=60, deadline=None)
TestManyGateways.pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
