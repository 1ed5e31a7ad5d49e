"""Who holds what of each limit: records, divisions, and what is in doubt."""

from dataclasses import dataclass, field

import pytest

from littoral.control.holdings import PREFIX
from littoral.control.shares import ShareBook
from littoral.domain.errors import StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.limits import Budget, Limits, period_of
from littoral.domain.share import WHOLE, Draw, Drawn, Shares, Slice
from littoral.domain.units import Micros
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.state import MemoryState

A, B = NodeId("a"), NodeId("b")
LIMITS = {"project:p": Limits(concurrent=10, budget=Budget(amount=1e-6, period="total"))}
NAME = "project:p|total"
WHOLE_SLICE = Slice(amount=1000, standing=1000, rate=WHOLE, open=10)


@dataclass
class World:
    """What a book asks: nodes, the end of their snapshots, the epoch."""

    state: MemoryState = field(default_factory=MemoryState)
    clock: SettableClock = field(default_factory=SettableClock)
    nodes: tuple[NodeId, ...] = (A, B)
    failpoints: ArmedFailpoints = field(default_factory=ArmedFailpoints)
    end: Micros = Micros(0)
    epoch: int = 1

    def spots(self):
        return dict.fromkeys(self.nodes)

    def ends(self, node):
        assert node
        return self.end

    def book(self, limits=LIMITS) -> ShareBook:
        book = ShareBook(
            self.state, self.clock, fleet=self, publisher=self, failpoints=self.failpoints
        )
        book.limited(limits)
        return book


@pytest.fixture
def world() -> World:
    return World()


def begin(book: ShareBook, node: NodeId, held: Slice | None = None, **said) -> None:
    book.opened(node)
    draws = {} if held is None else {NAME: Draw(held=held, **said)}
    book.heard(node, Drawn(number=0, draws=draws, begins=True))
    book.divide()


def settle(book: ShareBook, *nodes: NodeId) -> dict[NodeId, Slice]:
    """Let every node take and answer what it is sent, until nothing moves."""
    held: dict[NodeId, Slice] = {}
    for _ in range(6):
        for node in nodes:
            for frame in book.due(node):
                held[node] = frame.slices[NAME]
                book.heard(node, Drawn(number=frame.number, draws={NAME: Draw(held=held[node])}))
        book.divide()
    return held


def test_the_first_node_has_all_and_the_second_makes_it_give(world):
    book = world.book()
    begin(book, A)
    assert book.due(A) == (Shares(number=1, slices={NAME: WHOLE_SLICE}),)
    begin(book, B)
    assert book.due(B) == ()
    book.heard(A, Drawn(number=1, draws={NAME: Draw(held=WHOLE_SLICE)}))
    held = settle(book, A, B)
    assert {node: each.amount for node, each in held.items()} == {A: 500, B: 500}
    assert book.due(A) == ()


def test_what_is_sent_is_on_disk_before(world):
    book = world.book()
    begin(book, A)
    assert b'"sent":{"since":0,"amount":1000' in world.state.values(PREFIX)[PREFIX + NAME]
    again = world.book()
    begin(again, B)
    assert again.due(B) == ()


def test_an_answer_from_before_the_last_slice_settles_nothing(world):
    book = world.book()
    begin(book, A)
    assert book.due(A)
    book.heard(A, Drawn(number=0, draws={NAME: Draw(tight=True)}))
    begin(book, B)
    assert book.due(B) == ()


def test_what_is_heard_before_a_slice_has_left_settles_nothing(world):
    book = world.book()
    begin(book, A)
    book.heard(A, Drawn(number=0, draws={NAME: Draw(tight=True)}))
    begin(book, B)
    assert book.due(A) == (Shares(number=1, slices={NAME: WHOLE_SLICE}),)
    assert book.due(B) == ()


def test_a_node_that_names_nothing_holds_nothing(world):
    book = world.book()
    begin(book, A)
    settle(book, A)
    book.ended(A)
    begin(book, B)
    assert book.due(B) == ()
    begin(book, A)
    assert settle(book, A, B)[A].amount == 500


def test_a_beginning_in_several_frames_counts_when_it_is_whole(world):
    book = world.book()
    book.opened(A)
    first = Drawn(number=0, draws={NAME: Draw(held=WHOLE_SLICE)}, begins=True, complete=False)
    book.heard(A, first)
    assert not book.is_heard(A)
    book.heard(A, Drawn(number=0, draws={}))
    assert book.is_heard(A)
    assert book.is_heard(B)
    assert not book.heard(B, Drawn(number=0, draws={}))
    book.ended(B)


def test_a_restored_state_gives_nothing_until_everybody_was_heard(world):
    book = world.book()
    begin(book, A)
    begin(book, B)
    held = settle(book, A, B)
    world.epoch += 1
    again = world.book()
    begin(again, A, held[A], tight=True, want=900)
    assert again.due(A) == ()
    assert [each.doubtful for each in again.views()] == [False, True]
    begin(again, B, held[B])
    assert [each.doubtful for each in again.views()] == [False, False]
    assert settle(again, B, A)[A].amount > 500


def test_a_node_that_holds_what_nobody_gave_shows_that_the_records_are_old(world):
    book = world.book()
    begin(book, A)
    begin(book, B)
    settle(book, A, B)
    again = world.book()
    begin(again, A, Slice(amount=100, standing=100, rate=1, open=1), tight=True, want=900)
    assert [each.doubtful for each in again.views()] == [False, True]


def test_use_and_time_change_what_a_node_holds_without_any_doubt(world):
    limits = {"project:p": Limits(budget=Budget(amount=1e-6, period="hour"))}
    name = "project:p|hour"
    book = world.book(limits)
    begin(book, A)
    given = book.due(A)[0].slices[name]
    book.heard(A, Drawn(number=1, draws={name: Draw(held=given)}))
    again = world.book(limits)
    again.opened(A)
    later = Slice(since=3_600_000_000, amount=1000, standing=1000, rate=WHOLE)
    again.heard(A, Drawn(number=0, draws={name: Draw(held=later, taken=7)}, begins=True))
    assert [each.doubtful for each in again.views()] == [False]
    assert again.views()[0].period == "hour"


def test_what_a_removed_node_may_still_use_is_free_once_its_snapshot_has_ended(world):
    book = world.book()
    begin(book, A)
    settle(book, A)
    book.ended(A)
    world.nodes, world.end = (B,), Micros(world.clock.wall() + 1_000_000)
    begin(book, B)
    assert book.due(B) == ()
    world.clock.advance(2.0)
    book.heard(B, Drawn(number=0, draws={NAME: Draw(tight=True)}))
    book.divide()
    given = settle(book, B)[B]
    assert (given.rate, given.open, given.standing) == (WHOLE, 10, 1000)
    assert given.amount == 0  # it may have spent all of it in this period, which never ends


def test_nothing_is_kept_of_a_removed_node_that_had_no_money(world):
    limits = {"project:p": Limits(concurrent=10)}
    book = world.book(limits)
    begin(book, A)
    assert book.due(A)
    book.ended(A)
    world.nodes = (B,)
    begin(book, B)
    assert book.due(B)[0].slices["project:p|-"].rate == WHOLE


def test_a_limit_that_is_gone_is_taken_back_and_forgotten(world):
    book = world.book()
    begin(book, A)
    settle(book, A)
    book.limited({"key:k": Limits(concurrent=1)})
    book.heard(A, Drawn(number=9, draws={}))
    book.divide()
    slices = {name: each for frame in book.due(A) for name, each in frame.slices.items()}
    assert slices[NAME].empty
    book.heard(A, Drawn(number=99, draws={NAME: Draw(held=slices[NAME])}))
    book.divide()
    assert PREFIX + NAME not in world.state.values(PREFIX)


def test_views_say_who_holds_what(world):
    book = world.book()
    begin(book, A)
    view = book.views()[0]
    assert (view.limit, view.node, view.connected, view.waiting) == ("project:p", A, True, True)
    settle(book, A)
    book.ended(A)
    view = book.views()[0]
    assert (view.cap, view.money, view.standing, view.rate) == (1e-6, 1e-6, 1e-6, 1.0)
    assert (view.concurrent, view.connected, view.taken) == (10, False, 0.0)


class Disk(MemoryState):
    """A state that counts what is written, and whose disk may be full."""

    full = False
    writes = 0

    def put_values(self, values):
        if self.full:
            raise StorageFull("no room")
        self.writes += 1
        super().put_values(values)


def test_what_cannot_be_written_down_is_not_sent(world):
    world.state = disk = Disk()
    book = world.book()
    disk.full = True
    with pytest.raises(StorageFull):
        begin(book, A)
    assert book.due(A) == ()
    assert not book.views()[0].waiting
    disk.full = False
    assert list(book.divide()) == [A]
    assert book.due(A)[0].slices == {NAME: WHOLE_SLICE}


def test_a_division_that_changes_nothing_writes_nothing(world):
    world.state = disk = Disk()
    book = world.book()
    begin(book, A)
    settle(book, A)
    before = disk.writes
    assert book.heard(A, Drawn(number=1, draws={NAME: Draw(held=WHOLE_SLICE, tight=True)}))
    book.divide()
    assert disk.writes == before


def told(book: ShareBook, node: NodeId) -> dict[str, Slice]:
    return {name: each for frame in book.due(node) for name, each in frame.slices.items()}


def test_a_node_that_says_more_than_it_was_given_takes_nothing_from_others(world):
    book = world.book()
    begin(book, A)
    begin(book, B)
    held = settle(book, A, B)
    lie = Slice(since=0, amount=1000, standing=1000, rate=WHOLE, open=10)
    assert book.heard(A, Drawn(number=99, draws={NAME: Draw(held=lie)}))
    book.divide()
    assert told(book, A) == {NAME: held[A]}
    assert told(book, B) == {}
    claims = {each.node: (each.beyond, each.rate, each.standing * 1e9) for each in book.views()}
    assert claims[A] == (True, 0.5, pytest.approx(500))
    assert claims[B][0] is False
    book.heard(A, Drawn(number=100, draws={NAME: Draw(held=held[A])}))
    assert not any(each.beyond for each in book.views())


def test_a_node_that_never_was_given_any_has_none_of_what_others_have(world):
    book = world.book()
    begin(book, A)
    held = settle(book, A)
    assert held[A] == WHOLE_SLICE
    begin(book, B, WHOLE_SLICE)
    after = settle(book, A, B)
    assert {node: each.amount for node, each in after.items()} == {A: 500, B: 500}


def test_what_a_node_has_used_counts_however_much_it_was_given(world):
    book = world.book()
    begin(book, A)
    begin(book, B)
    settle(book, A, B)
    used = Slice(since=0, amount=900, standing=500, rate=WHOLE // 2, open=7)
    book.heard(A, Drawn(number=99, draws={NAME: Draw(held=used, taken=900)}))
    book.divide()
    view = next(each for each in book.views() if each.node == A)
    assert (view.money * 1e9, view.concurrent, view.beyond) == (pytest.approx(900), 7, False)


def test_a_node_that_is_back_learns_at_once_that_a_limit_was_lowered(world):
    book = world.book()
    begin(book, A)
    held = settle(book, A)[A]
    book.ended(A)
    lower = {"project:p": Limits(concurrent=4, budget=Budget(amount=1e-7, period="total"))}
    book.limited(lower)
    begin(book, A, held)
    given = told(book, A)[NAME]
    assert (given.standing, given.open) == (100, 4)


def test_a_restored_control_counts_on_nodes_that_its_records_do_not_name(world):
    book = world.book()
    begin(book, A)
    settle(book, A)
    world.epoch += 1
    again = world.book()
    assert {each.node for each in again.views()} == {A, B}
    begin(again, A, Slice(amount=500, standing=500, rate=WHOLE // 2, open=5), tight=True)
    assert again.due(A) == ()
    later = world.book()
    begin(later, A, Slice(amount=500, standing=500, rate=WHOLE // 2, open=5), tight=True)
    assert later.due(A) == ()
    begin(later, B, Slice(amount=500, standing=500, rate=WHOLE // 2, open=5))
    assert [each.doubtful for each in later.views()] == [False, False]


def test_nothing_is_taken_from_anybody_before_the_limits_are_known(world):
    book = world.book()
    begin(book, A)
    held = settle(book, A)[A]
    again = ShareBook(
        world.state, world.clock, fleet=world, publisher=world, failpoints=ArmedFailpoints()
    )
    begin(again, A, held, tight=True)
    assert again.due(A) == ()


def test_no_node_says_for_all_that_a_far_period_has_begun(world):
    limits = {"project:p": Limits(budget=Budget(amount=1e-6, period="hour"))}
    name, hour = "project:p|hour", 3_600_000_000
    now = Slice(since=period_of("hour", world.clock.wall())[0])
    book = world.book(limits)
    for node, held in ((A, now), (B, Slice(since=hour * 1_000_000))):
        book.opened(node)
        book.heard(node, Drawn(number=0, draws={name: Draw(held=held, tight=True)}, begins=True))
    book.divide()
    given = told(book, A)[name]
    assert (given.since, given.amount) == (now.since, 500)
