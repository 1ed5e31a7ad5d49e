"""Tunnel: control's API at a node elsewhere; connections there are connections here."""

from contextlib import asynccontextmanager

import anyio
import pytest

from littoral.app.tube import Doorway, Hatch, Tube
from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import WINDOW

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Bench:
    """A node's end and control's, joined; the API answers with what it was asked, in capitals."""

    def __init__(self, folder):
        self.near, self.far = str(folder / "near.sock"), str(folder / "far.sock")
        self.door, self.hatch = Doorway(self.near, most=2), Hatch(self.far)
        self.passed = []
        self.served = 0

    def upwards(self, frame):
        self.passed.append(("up", frame))
        self.hatch.heard(frame)

    def downwards(self, frame):
        self.passed.append(("down", frame))
        self.door.heard(frame)

    async def answer(self, pipe):
        self.served += 1
        async with pipe:
            await pipe.send((await pipe.receive()).upper())

    async def open_api(self, handler):
        listener = await anyio.create_unix_listener(self.far)

        async def serve():
            async with listener:
                await listener.serve(handler)

        self.group.start_soon(serve)

    async def run(self, group):
        group.start_soon(self.hatch.run, self.downwards)
        group.start_soon(self.door.run, self.upwards)
        await anyio.wait_all_tasks_blocked()
        while not await anyio.Path(self.near).exists():
            await anyio.wait_all_tasks_blocked()

    def of(self, kind):
        return [frame for _, frame in self.passed if isinstance(frame, kind)]


async def everything(pipe):
    data = b""
    try:
        while True:
            data += await pipe.receive()
    except anyio.EndOfStream:
        return data


@asynccontextmanager
async def tunnel(folder):
    made = Bench(folder)
    async with anyio.create_task_group() as group:
        made.group = group
        await made.run(group)
        yield made
        group.cancel_scope.cancel()


async def test_what_is_asked_there_is_answered_here_and_closed(tmp_path):
    async with tunnel(tmp_path) as bench:
        await bench.open_api(bench.answer)
        async with await anyio.connect_unix(bench.near) as pipe:
            await pipe.send(b"hi")
            assert await everything(pipe) == b"HI"
        (opened,) = bench.of(Open)
        assert (opened.stream, opened.head.kind, opened.head.key) == (1, "admin", "")
        assert bench.of(Data)[-1].fin


async def test_long_answers_come_whole_and_never_beyond_what_is_allowed(tmp_path):
    async with tunnel(tmp_path) as bench:
        long = bytes(range(256)) * 4 * (WINDOW // 256)

        async def speak(pipe):
            async with pipe:
                await pipe.receive()
                await pipe.send(long)

        await bench.open_api(speak)
        async with await anyio.connect_unix(bench.near) as pipe:
            await pipe.send(b"go")
            assert await everything(pipe) == long
        ahead, allowed = 0, WINDOW
        for way, frame in bench.passed:
            if way == "down" and isinstance(frame, Data):
                ahead += len(frame.body)
                assert ahead <= allowed
            elif way == "up" and isinstance(frame, Credit):
                allowed = frame.upto


async def test_a_client_that_leaves_ends_the_connection_to_the_api(tmp_path):
    async with tunnel(tmp_path) as bench:
        gone = anyio.Event()

        async def listen(pipe):
            async with pipe:
                await everything(pipe)
                gone.set()

        await bench.open_api(listen)
        async with await anyio.connect_unix(bench.near) as pipe:
            await pipe.send(b"hi")
        with anyio.fail_after(5):
            await gone.wait()


async def test_without_an_api_the_connection_is_closed(tmp_path):
    async with tunnel(tmp_path) as bench:
        async with await anyio.connect_unix(bench.near) as pipe:
            assert await everything(pipe) == b""
        (reset,) = bench.of(Reset)
        assert (reset.code, reset.message) == ("session_lost", "control's API is closed")


async def test_a_session_that_is_lost_closes_the_connection(tmp_path):
    async with tunnel(tmp_path) as bench:
        await bench.open_api(bench.answer)
        async with await anyio.connect_unix(bench.near) as pipe:
            while not bench.of(Open):
                await anyio.wait_all_tasks_blocked()
            bench.door.heard(Reset(stream=1, code="session_lost"))
            assert await everything(pipe) == b""


async def test_only_so_many_connections_are_carried_at_one_time(tmp_path):
    async with tunnel(tmp_path) as bench:
        await bench.open_api(listen)
        for _ in range(2):
            await bench.group.start(hold, bench.near)
        async with await anyio.connect_unix(bench.near) as pipe:
            assert await everything(pipe) == b""
        assert len(bench.of(Open)) == 2


async def listen(pipe):
    async with pipe:
        await everything(pipe)


async def hold(path, *, task_status):
    async with await anyio.connect_unix(path):
        task_status.started()
        await anyio.sleep_forever()


class Deaf:
    """A connection whose other end sends without pause and reads nothing."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None

    async def receive(self, most):
        return b"x" * most

    async def send(self, _data):
        await anyio.sleep_forever()


async def test_a_client_that_reads_nothing_still_sends_what_is_allowed_and_costs_no_turns():
    sent = []
    tube = Tube(1, sent.append)
    async with anyio.create_task_group() as group:
        group.start_soon(tube.run, Deaf())
        await anyio.wait_all_tasks_blocked()
        tube.heard(Data(stream=1, body=b"an answer"))
        await anyio.wait_all_tasks_blocked()
        assert sum(len(frame.body) for frame in sent) == WINDOW
        tube.heard(Credit(stream=1, upto=2 * WINDOW))
        await anyio.wait_all_tasks_blocked()
        assert sum(len(frame.body) for frame in sent) == 2 * WINDOW
        group.cancel_scope.cancel()


async def test_late_frames_are_nobodys(tmp_path):
    async with tunnel(tmp_path) as bench:
        bench.door.heard(Data(stream=7, body=b"late"))
        bench.door.heard(bench.of(Open)[0] if bench.of(Open) else Reset(stream=9, code="internal"))
        assert bench.of(Data) == []
