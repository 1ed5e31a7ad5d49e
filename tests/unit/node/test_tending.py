"""Errands, probes and standing of a node."""

import json

import anyio
import pytest

from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.enrolment import STANDING
from littoral.domain.errors import UnknownName, UpstreamFailed
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.units import Seconds, Tokens
from littoral.domain.upkeep import Do, Done, Issued
from littoral.node.errand import ErrandParts, Errands
from littoral.node.probing import Probing, ProbingParts
from littoral.node.upkeep import Upkeep
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.disk import MemoryDisk
from littoral.testing.loop import simulate

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Engines:
    names = ("chat",)

    def __init__(self) -> None:
        self.restarted: list[str] = []

    def restart(self, name: str) -> bool:
        if name != "chat":
            return False
        self.restarted.append(name)
        return True


def tail(role: str, lines: int) -> str:
    if role == "gone":
        raise UnknownName("there is no log of 'gone' here")
    return f"{role} x{lines} " + "é" * 40_000


@pytest.fixture
def engines():
    return Engines()


async def back() -> str:
    await anyio.lowlevel.checkpoint()
    return "0.1.0"


@pytest.fixture
def errands(engines):
    return Errands(
        ErrandParts(
            converger=engines,
            blobs=MemoryBlobs(),
            under_way=lambda: 3,
            tail=tail,
            probe=lambda: 2,
            undo_update=back,
        )
    )


async def test_an_engine_is_restarted_and_an_unknown_one_lists_the_known(errands, engines):
    done = await errands.do(Do(number=1, verb="restart_engine", args={"deployment": "chat"}))
    assert (done.ok, engines.restarted) == (True, ["chat"])
    done = await errands.do(Do(number=2, verb="restart_engine", args={"deployment": "x"}))
    assert (done.ok, done.code, "known: chat" in done.result) == (False, "invalid_request", True)


async def test_draining_tells_how_many_requests_are_under_way(errands):
    assert await errands.do(Do(number=1, verb="drain")) == Done(number=1, ok=True, result="3")


async def test_a_logs_end_is_told_within_bounds(errands):
    done = await errands.do(Do(number=1, verb="log_tail", args={"role": "gateway", "lines": "9"}))
    assert done.ok
    assert len(done.result.encode()) <= 32 * 1024 + 3


@pytest.mark.parametrize(
    "args",
    [
        {"role": "../../etc/passwd"},
        {"role": "node", "lines": "0"},
        {"role": "node", "lines": "201"},
        {"role": "node", "lines": "x"},
        {"path": "/etc/passwd"},
        {"role": "gone"},
    ],
)
async def test_nothing_but_a_log_of_ours_is_read(errands, args):
    done = await errands.do(Do(number=1, verb="log_tail", args=args))
    assert not done.ok
    assert done.result


async def test_artefacts_are_read_and_compared(errands):
    done = await errands.do(Do(number=1, verb="verify_artefacts"))
    assert done.result == "0 artefacts, 0 damaged"


async def test_the_version_that_is_gone_back_to_is_told(errands):
    assert (await errands.do(Do(number=1, verb="undo_update"))).result == (
        "goes back to 0.1.0, on trial"
    )
    done = await errands.do(Do(number=2, verb="undo_update", args={"to": "0.0.1"}))
    assert "takes no 'to'" in done.result


async def test_a_probe_is_begun(errands):
    assert "2 engines" in (await errands.do(Do(number=1, verb="probe"))).result


def endpoint(name: str = "chat", **more) -> Endpoint:
    return Endpoint(
        id=EndpointId(name),
        deployment=DeploymentName(name),
        serves=name,
        engine="fake",
        state="ready",
        address=Address(host="127.0.0.1", port=1),
        context=Tokens(4096),
        capabilities=("chat",),
        credential="of its engine",
        **more,
    )


def measuring(around, script, *, busy=lambda: 0, fails=0):
    asked: list[tuple[int, int]] = []
    left = [fails]

    async def probe(endpoint, tokens_in, tokens_out):
        assert endpoint.credential == "of its engine"
        asked.append((tokens_in, tokens_out))
        await anyio.sleep(1)
        if left[0]:
            left[0] -= 1
            raise UpstreamFailed("not now")
        return Seconds(0.25), Seconds(1.0)

    async def main():
        probing = Probing(
            ProbingParts(board=around.board, clock=around.clock, probe=probe, under_way=busy)
        )
        async with anyio.create_task_group() as group:
            group.start_soon(probing.run)
            await script(probing)
            group.cancel_scope.cancel()

    simulate(main)
    return asked


def test_each_engine_is_probed_three_times_once_it_is_ready(around):
    async def script(_probing):
        around.board.put_endpoint(endpoint())
        await anyio.sleep(60)

    assert measuring(around, script) == [(32, 1), (512, 1), (32, 32)]
    speeds = around.board.status().speeds
    assert [(speed.tokens_in, speed.first_s, speed.total_s) for speed in speeds] == [
        (32, 0.25, 1.0),
        (512, 0.25, 1.0),
        (32, 0.25, 1.0),
    ]


def test_at_most_a_tenth_of_the_time_is_spent_on_probes(around):
    async def script(_probing):
        around.board.put_endpoint(endpoint())
        await anyio.sleep(20)

    assert len(measuring(around, script)) == 2


def test_upstreams_and_engines_without_words_are_not_probed(around):
    async def script(_probing):
        around.board.put_endpoint(endpoint("far", remote=True))
        await anyio.sleep(60)

    assert measuring(around, script) == []


def test_nobody_is_probed_while_somebody_is_served(around):
    state = {"busy": 1}

    async def script(_probing):
        around.board.put_endpoint(endpoint())
        await anyio.sleep(30)
        assert around.board.status().speeds == ()
        state["busy"] = 0
        await anyio.sleep(60)

    assert len(measuring(around, script, busy=lambda: state["busy"])) == 3


def test_a_probe_that_fails_is_tried_again_and_then_given_up(around):
    async def script(_probing):
        around.board.put_endpoint(endpoint())
        await anyio.sleep(90)

    assert len(measuring(around, script, fails=4)) == 3 + 2 + 1


def test_engines_are_probed_anew_when_asked(around):
    async def script(probing):
        around.board.put_endpoint(endpoint())
        await anyio.sleep(60)
        assert probing.again() == 1
        await anyio.sleep(60)

    assert len(measuring(around, script)) == 6


def test_long_probes_are_left_out_where_there_is_no_room(around):
    async def script(_probing):
        around.board.put_endpoint(
            Endpoint(
                id=EndpointId("small"),
                deployment=DeploymentName("small"),
                serves="small",
                engine="fake",
                state="ready",
                address=Address(host="127.0.0.1", port=1),
                context=Tokens(128),
                capabilities=("completions",),
                credential="of its engine",
            )
        )
        await anyio.sleep(60)

    assert measuring(around, script) == [(32, 1), (32, 32)]


def standing(disk):
    told = json.loads(disk.files[STANDING])
    return told["connected"], told["trouble"]


def test_how_a_node_stands_is_written_when_it_changes_and_errands_are_answered(around, errands):
    disk = MemoryDisk()
    upkeep = Upkeep(errands, None, board=around.board, disk=disk, clock=around.clock)
    stands = [(False, "nobody answers at wss://x")]
    sent: list[Done] = []

    async def send(frame) -> bool:
        sent.append(frame)
        return True

    async def main():
        async with anyio.create_task_group() as group:
            group.start_soon(upkeep.run, send, lambda: stands[0])
            await anyio.sleep(3)
            assert standing(disk) == (False, ["nobody answers at wss://x"])
            stands[0] = (True, "")
            around.board.put_trouble("certificate", "the certificate ran out")
            await anyio.sleep(3)
            assert standing(disk) == (True, ["the certificate ran out"])
            assert upkeep.take(Do(number=4, verb="drain"))
            assert upkeep.take(Issued(chain="", ca="", server_us=around.clock.wall()))
            assert not upkeep.take(Done(number=1, ok=True))
            upkeep.lost("revoked", True)  # noqa: FBT003  as it is called
            disk.full = True
            around.board.put_trouble("certificate", "")
            await anyio.sleep(3)
            disk.full = False
            await anyio.sleep(3)
            assert standing(disk) == (True, [])
            group.cancel_scope.cancel()

    simulate(main)
    assert sent == [Done(number=4, ok=True, result="3")]
