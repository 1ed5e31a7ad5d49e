"""A node asks both versions of a deployment its golden items, one at a time, and tells control."""

from dataclasses import replace

import anyio

from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.errors import UpstreamFailed
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.rollout import NEXT, Exam, GoldenItem
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.golden import Golden, GoldenParts
from littoral.testing.loop import simulate

ITEMS = tuple(GoldenItem(prompt=str(at), expect="yes") for at in range(12))
EXAM = Exam(deployment=DeploymentName("chat"), run="r1", items=ITEMS)
SNAPSHOT = Snapshot(
    epoch=1,
    version=1,
    issued_us=Micros(0),
    node=NodeId("nd_1"),
    pepper=b"",
    keys=(),
    assignments=(),
)
OLD, NEW = "chat", "chat" + NEXT


def engine(name: str, **more) -> Endpoint:
    return Endpoint(
        id=EndpointId(name),
        deployment=DeploymentName(name),
        serves="chat",
        engine="fake",
        state="ready",
        address=Address(host="127.0.0.1", port=1),
        capabilities=("chat",),
        slots=1,
        credential="secret",
        **more,
    )


class World:
    """Engines of which a test says what they answer, and control, which may be away."""

    def __init__(self, board) -> None:
        self.board = board
        self.asked: list[tuple[str, str]] = []
        self.wrong = frozenset[tuple[str, str]]()
        self.fails: dict[tuple[str, str], int] = {}
        self.busy: dict[str, int] = {}
        self.quiet = True
        self.heard: list = []
        self.golden = Golden(
            GoldenParts(
                board=board,
                answer=self.answer,
                busy=lambda name: self.busy.get(name, 0),
                quiet=lambda: self.quiet,
            )
        )

    async def answer(self, endpoint, item) -> str:
        assert self.golden.asking == 1
        assert endpoint.credential == "secret"  # else no engine answers
        key = (endpoint.deployment, item.prompt)
        self.asked.append(key)
        await anyio.sleep(1)
        if self.fails.get(key, 0):
            self.fails[key] -= 1
            raise UpstreamFailed("not now")
        return "no" if key in self.wrong else "yes"

    async def send(self, frame) -> bool:
        await anyio.lowlevel.checkpoint()
        self.heard.append(frame)
        return True

    def want(self, *exams: Exam) -> None:
        self.board.put_snapshot(replace(SNAPSHOT, exams=exams))

    def run(self, script, *engines: Endpoint) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.golden.run, self.send)
                await anyio.sleep(1)
                for each in engines or (engine(OLD), engine(NEW)):
                    self.board.put_endpoint(each)
                self.want(EXAM)
                await script()
                group.cancel_scope.cancel()

        simulate(main)

    def events(self) -> list[tuple[str, str]]:
        return [(each.code, each.message) for each in self.board.take_events()]


def test_both_versions_are_asked_each_item_and_control_hears_of_ten_and_of_all(around):
    world = World(around.board)
    world.wrong = frozenset({(NEW, "3"), (NEW, "5"), (OLD, "3")})
    world.run(lambda: anyio.sleep(25))
    assert world.asked == [(name, str(at)) for at in range(12) for name in (NEW, OLD)]
    ten, all_of_them = world.heard
    assert (len(ten.old), len(ten.new), ten.run) == (10, 10, "r1")
    assert all_of_them.new == tuple(0.0 if at in {3, 5} else 1.0 for at in range(12))
    assert sum(all_of_them.old) == 11
    began, ended = world.events()
    assert began == ("rollout_scoring", "both versions of chat are asked 12 golden items")
    assert ended[0] == "rollout_scored"
    assert "the old version knows 11, the new one 10: 8.3 points are lost; 0" in ended[1]


def test_an_engine_that_fails_once_is_asked_again_and_one_that_fails_twice_scores_nothing(around):
    world = World(around.board)
    world.fails = {(NEW, "0"): 1, (NEW, "1"): 2}
    world.run(lambda: anyio.sleep(40))
    assert world.heard[-1].new == (1.0, 0.0, *[1.0] * 10)
    assert world.asked.count((NEW, "1")) == 2
    assert world.events()[-1][1].endswith("; 1 questions got no answer")


def test_nobody_is_asked_while_an_engine_has_no_slot_to_spare_or_is_measured(around):
    world = World(around.board)
    world.busy = {NEW: 1}

    async def script() -> None:
        await anyio.sleep(30)
        assert world.asked == []
        world.busy, world.quiet = {}, False
        await anyio.sleep(30)
        assert world.asked == []
        world.quiet = True
        await anyio.sleep(30)

    world.run(script)
    assert len(world.asked) == 24


def test_it_waits_for_an_engine_of_this_machine_that_is_ready(around):
    world = World(around.board)

    async def script() -> None:
        await anyio.sleep(5)
        assert world.asked == []
        around.board.put_endpoint(engine(NEW))
        await anyio.sleep(30)

    starting = replace(engine("other"), deployment=DeploymentName(NEW), state="starting")
    far = replace(engine("far", remote=True), deployment=DeploymentName(NEW))
    world.run(script, engine(OLD), starting, far)
    assert len(world.asked) == 24


def test_what_control_has_not_taken_is_told_again_and_asked_once(around):
    world = World(around.board)
    world.run(lambda: anyio.sleep(60))
    assert len(world.asked) == 24
    assert len(world.heard) > 3
    assert world.heard[-1] == world.heard[1]
    assert len(world.events()) == 2


def test_items_that_nobody_wants_any_more_are_left(around):
    world = World(around.board)

    async def script() -> None:
        await anyio.sleep(6.5)
        world.want()
        await anyio.sleep(60)

    world.run(script)
    assert len(world.asked) < 10
    assert "of 12 golden items are scored" in world.events()[-1][1]


def test_other_items_are_asked_from_the_first_one(around):
    world = World(around.board)

    async def script() -> None:
        await anyio.sleep(6.5)
        world.want(replace(EXAM, run="r2", items=ITEMS[:2]))
        await anyio.sleep(30)

    world.run(script)
    assert world.heard[-1].run == "r2"
    assert world.heard[-1].new == (1.0, 1.0)


def test_an_answer_that_does_not_come_scores_nothing(around):
    world = World(around.board)

    async def never(_endpoint, _item) -> str:
        await anyio.sleep(10_000)
        return "yes"

    world.golden = Golden(
        GoldenParts(board=around.board, answer=never, busy=lambda _: 0, quiet=lambda: True)
    )

    async def script() -> None:
        world.want(replace(EXAM, items=ITEMS[:1]))
        await anyio.sleep(500)

    world.run(script)
    assert (world.heard[0].old, world.heard[0].new) == ((0.0,), (0.0,))


def test_gateways_are_not_told_of_items(around):
    around.board.put_snapshot(replace(SNAPSHOT, exams=(EXAM,)))
    assert around.board.frames()[-1].snapshot.exams == ()
