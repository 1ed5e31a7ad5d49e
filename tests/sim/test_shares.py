"""Shares over several nodes: whatever is cut, lost, restarted or restored, the sum keeps the limit.

Control's book and a node's rule for taking a slice are the product's own; the nodes' disks, what
they admit, and the two queues of each session are played.
"""

import copy
from collections import deque
from dataclasses import dataclass, field

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from littoral.control.holdings import PREFIX
from littoral.control.shares import ShareBook
from littoral.domain.ids import NodeId
from littoral.domain.limits import Budget, Limits, period_of
from littoral.domain.share import (
    NOTHING,
    WHOLE,
    Draw,
    Drawn,
    Holding,
    Shares,
    Slice,
    share_name,
    taken_up,
)
from littoral.domain.units import HOUR_US, Micros
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.state import MemoryState

NODES = tuple(NodeId(f"n{number}") for number in range(3))
MONEY = 1000
LIMIT = "project:p"


def limits(money: int, concurrent: int = 5) -> Limits:
    return Limits(
        requests_per_minute=60,
        concurrent=concurrent,
        budget=Budget(amount=money / 1e9, period="hour"),
    )


ROW = msgspec.json.Decoder(dict[NodeId, Holding])
NAME = share_name(LIMIT, limits(1))


@dataclass
class Played:
    """One node: its disk, what it has admitted, and its session's two queues."""

    name: NodeId
    slice: Slice = NOTHING
    open: list[tuple[int, int]] = field(default_factory=list)
    spent: dict[int, int] = field(default_factory=dict)
    up: deque | None = None
    down: deque = field(default_factory=deque)
    number: int = 0
    late_us: int = 0
    wanted: int = 0

    def taken(self, since: int) -> int:
        return self.spent.get(since, 0) + sum(money for at, money in self.open if at == since)

    def held(self, since: int) -> Slice:
        taken, under_way = self.taken(since), len(self.open)
        return taken_up(self.slice, since=since, taken=taken, under_way=under_way)

    def draw(self, since: int) -> Draw:
        want, self.wanted = self.wanted, 0
        tight = bool(want)
        held, taken = self.held(since), self.taken(since)
        return Draw(held=held, taken=taken, demand=float(want), want=want, tight=tight)


@dataclass
class Known:
    """All nodes are there, and their snapshots hold for ever."""

    epoch: int = 1

    def spots(self):
        return dict.fromkeys(NODES)

    def ends(self, node):
        return 0 if node else None


class SharesMachine(RuleBasedStateMachine):
    """Three nodes and a control that is not always there."""

    def __init__(self):
        super().__init__()
        self.clock = SettableClock()
        self.clock.set_wall(Micros(1000 * HOUR_US))
        self.state = MemoryState()
        self.backup: MemoryState | None = None
        self.epoch = 1
        self.nodes = {name: Played(name) for name in NODES}
        self.cap = MONEY
        self.was: dict[int, int] = {}
        self.stood = 0
        self.book = self.new_book()

    def new_book(self) -> ShareBook:
        for node in self.nodes.values():
            node.up = None
            node.down.clear()
        book = ShareBook(
            self.state,
            self.clock,
            fleet=Known(),
            publisher=Known(self.epoch),
            failpoints=ArmedFailpoints(),
        )
        book.limited({LIMIT: limits(self.cap)})
        return book

    def since(self, node: Played) -> int:
        return period_of("hour", self.clock.wall() - node.late_us)[0]

    @initialize()
    def begin(self):
        for node in self.nodes.values():
            self.connect(node)
        for _ in range(3):
            for node in self.nodes.values():
                self.exchange(node)

    def connect(self, node: Played) -> None:
        self.book.opened(node.name)
        node.up, node.number = deque(), 0
        node.down.clear()
        draws = {NAME: node.draw(self.since(node))}
        node.up.append(Drawn(number=0, draws=draws, begins=True))

    def exchange(self, node: Played) -> None:
        if node.up is None:
            return
        while node.up:
            self.book.heard(node.name, node.up.popleft())
        self.book.divide()
        node.down.extend(self.book.due(node.name))
        while node.down:
            self.take(node, node.down.popleft())

    def take(self, node: Played, frame: Shares) -> None:
        node.slice = frame.slices[NAME]
        node.slice = node.held(self.since(node))
        node.number = frame.number
        self.tell(node)
        self.the_sum_keeps_the_rest()

    nodes_drawn = st.sampled_from(NODES)

    @rule(name=nodes_drawn, money=st.integers(1, 600))
    def ask(self, name, money):
        node = self.nodes[name]
        since = self.since(node)
        of = node.slice
        cap = of.money_in(since) if since >= of.since else 0
        if node.taken(since) + money <= cap and len(node.open) < of.open:
            node.open.append((since, money))
        else:
            node.wanted = money
            self.tell(node)

    @rule(name=nodes_drawn)
    def use_up(self, name):
        node = self.nodes[name]
        since = self.since(node)
        left = node.slice.money_in(since) - node.taken(since) if since >= node.slice.since else 0
        if left > 0:
            node.spent[since] = node.spent.get(since, 0) + left
        self.ask(name, 100)

    @rule(name=nodes_drawn, part=st.floats(0, 1))
    def finish(self, name, part):
        node = self.nodes[name]
        if node.open:
            since, money = node.open.pop(0)
            node.spent[since] = node.spent.get(since, 0) + int(money * part)

    def tell(self, node):
        if node.up is not None:
            draws = {NAME: node.draw(self.since(node))}
            node.up.append(Drawn(number=node.number, draws=draws))

    @rule(name=nodes_drawn, step=st.sampled_from(("hear", "send", "receive", "all")))
    def go_on(self, name, step):
        node = self.nodes[name]
        if step == "all":
            self.exchange(node)
        elif step == "hear" and node.up:
            self.book.heard(node.name, node.up.popleft())
            self.book.divide()
        elif step == "send" and node.up is not None:
            node.down.extend(self.book.due(name))
        elif step == "receive" and node.down:
            self.take(node, node.down.popleft())

    @rule()
    def talk(self):
        for node in self.nodes.values():
            self.exchange(node)

    @rule()
    def settle(self):
        """Everybody is there and says all that he has to say."""
        for node in self.nodes.values():
            if node.up is None:
                self.connect(node)
        for _ in range(12):
            self.talk()
        nodes = self.nodes.values()
        assert sum(node.slice.standing for node in nodes) <= self.cap
        assert all(not view.waiting and not view.doubtful for view in self.book.views())

    @rule(name=nodes_drawn)
    def cut(self, name):
        node = self.nodes[name]
        if node.up is not None:
            self.book.ended(name)
            node.up = None
            node.down.clear()

    @rule(name=nodes_drawn)
    def come_back(self, name):
        if self.nodes[name].up is None:
            self.connect(self.nodes[name])

    @rule(name=nodes_drawn)
    def reboot(self, name):
        self.cut(name)
        node = self.nodes[name]
        while node.open:
            self.finish(name, 1.0)

    @rule()
    def control_dies(self):
        self.book = self.new_book()

    @rule()
    def back_up(self):
        self.backup = copy.deepcopy(self.state)

    @rule()
    def restore(self):
        if self.backup is not None:
            self.state, self.epoch = copy.deepcopy(self.backup), self.epoch + 1
            self.book = self.new_book()

    @rule(money=st.integers(1, 2 * MONEY))
    def change(self, money):
        self.cap = money
        self.book.limited({LIMIT: limits(money)})

    @rule(name=nodes_drawn, minutes=st.integers(0, 90))
    def clock_is_late(self, name, minutes):
        node = self.nodes[name]
        node.late_us = min(node.late_us, minutes * 60_000_000)  # a node's time never goes back
        if minutes == 90 and not node.spent and not node.open:
            node.late_us = HOUR_US

    @rule(minutes=st.integers(1, 50))
    def time_passes(self, minutes):
        self.clock.advance(minutes * 60.0)

    def slices(self, node: Played) -> list[Slice]:
        """All that a node holds, or may yet be told to hold by what was given before now."""
        given = [frame.slices[NAME] for frame in node.down]
        row = self.state.values(PREFIX).get(PREFIX + NAME)
        if row is not None and node.up is not None and self.book.is_heard(node.name):
            holding = ROW.decode(row).get(node.name)
            given += [holding.sent] if holding is not None and holding.sent is not None else []
        return [node.slice, *given]

    def might(self, node: Played, since: int) -> int:
        """The most that a node may have spent of a period when nobody tells it anything new."""
        allowed = [each.money_in(since) for each in self.slices(node) if since >= each.since]
        return max(node.taken(since), *allowed, 0)

    @invariant()
    def the_sum_keeps_the_budget(self):
        """What nodes might spend is within the budget, or was granted before that was lowered."""
        nodes = self.nodes.values()
        stands = sum(max(each.standing for each in self.slices(node)) for node in nodes)
        assert stands <= max(self.cap, self.stood), f"{stands} of {self.cap} stand"
        hour = period_of("hour", self.clock.wall())[0]
        now: dict[int, int] = {}
        for since in range(hour - HOUR_US, hour + HOUR_US + 1, HOUR_US):
            total = now[since] = sum(self.might(node, since) for node in nodes)
            before = self.was.get(since, self.stood)
            assert total <= max(self.cap, before), f"{total} of {self.cap} in {since}"
        self.was, self.stood = now, stands

    @invariant()
    def the_sum_keeps_the_rest(self):
        assert sum(len(node.open) for node in self.nodes.values()) <= 5
        assert sum(node.slice.rate for node in self.nodes.values()) <= WHOLE


SharesMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
test_no_cut_crash_or_restore_overruns_a_limit = SharesMachine.TestCase
