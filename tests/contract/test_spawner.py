"""What every Spawner does; add an adapter to ``SPAWNERS`` to run the suite on it."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from littoral.app.spawner import Children
from littoral.domain.child import Child, Spawner
from littoral.domain.errors import UpstreamFailed
from littoral.domain.units import Seconds
from littoral.testing.spawner import MemorySpawner

ECHO = "import sys; print(sys.stdin.readline().upper(), end='', flush=True); sys.stdin.read()"
EARLY = "import sys; print('no such model', file=sys.stderr); sys.exit(3)"
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A spawner, and how to kill a child of it."""

    spawner: Spawner
    kill: Callable[[Child], Any]


def real() -> Subject:
    return Subject(spawner=Children(), kill=lambda child: os.kill(child.pid, signal.SIGKILL))


def twin() -> Subject:
    spawner = MemorySpawner({ECHO: lambda line: line.upper(), EARLY: lambda _: None})
    return Subject(
        spawner=spawner,
        kill=lambda child: spawner.running[child.pid].end("killed by signal 9"),
    )


SPAWNERS = {"processes": real, "memory": twin}


@pytest.fixture(params=sorted(SPAWNERS))
def subject(request: pytest.FixtureRequest) -> Subject:
    return SPAWNERS[request.param]()


def start(subject: Subject, tmp_path, *, program: str = ECHO, line: bytes = b"hello"):
    return subject.spawner.spawn(
        [sys.executable, "-c", program],
        environment={},
        line=line,
        log=str(tmp_path / "child.log"),
        ready_s=Seconds(20),
    )


async def test_a_child_is_ready_when_it_has_written_a_line(subject, tmp_path):
    async with start(subject, tmp_path) as child:
        assert child.ready == b"HELLO"
        assert child.pid > 0


async def test_a_killed_child_says_so(subject, tmp_path):
    async with start(subject, tmp_path) as child:
        subject.kill(child)
        assert "killed by signal 9" in await child.wait()


async def test_leaving_the_context_ends_the_child(subject, tmp_path):
    async with start(subject, tmp_path) as child:
        pass
    assert "killed by signal 15" in await child.wait()


async def test_a_cancelled_launch_leaves_no_child(subject, tmp_path):
    kept: list[Child] = []
    with anyio.CancelScope() as scope:
        async with start(subject, tmp_path) as child:
            kept.append(child)
            scope.cancel()
            await child.wait()
    assert "killed by" in await kept[0].wait()


async def test_two_children_live_side_by_side(subject, tmp_path):
    async with start(subject, tmp_path) as one, start(subject, tmp_path, line=b"two") as other:
        assert (one.ready, other.ready) == (b"HELLO", b"TWO")
        assert one.pid != other.pid


async def test_a_child_that_ends_first_is_an_upstream_failure(subject, tmp_path):
    with pytest.raises(UpstreamFailed, match="ended before it was ready"):
        async with start(subject, tmp_path, program=EARLY):
            pass


async def test_the_failure_ends_the_log_and_the_log_is_private(tmp_path):
    with pytest.raises(UpstreamFailed, match="exited with code 3; its log ends: no such model"):
        async with start(real(), tmp_path, program=EARLY):
            pass
    assert (tmp_path / "child.log").stat().st_mode & 0o777 == 0o600


async def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path):
    stubborn = (
        "import signal, sys; signal.signal(15, signal.SIG_IGN);print(1, flush=True)\n"
        "while True: signal.pause()"
    )
    async with start(real(), tmp_path, program=stubborn) as child:
        pass
    assert "killed by signal 9" in await child.wait()


async def test_a_child_gets_no_variable_but_those_given(tmp_path):
    tell = "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}), flush=True)"
    async with start(real(), tmp_path, program=tell) as child:
        assert child.ready == b"[]"


async def test_a_program_that_is_not_there_is_an_upstream_failure(tmp_path):
    with pytest.raises(UpstreamFailed, match="cannot be started"):
        async with real().spawner.spawn(
            ["/nowhere/engine"],
            environment={},
            line=b"",
            log=str(tmp_path / "child.log"),
            ready_s=Seconds(20),
        ):
            pass


async def test_a_child_that_is_never_ready_is_an_upstream_failure(tmp_path):
    with pytest.raises(UpstreamFailed, match="was not ready after 0 s"):
        async with real().spawner.spawn(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            environment={},
            line=b"",
            log=str(tmp_path / "child.log"),
            ready_s=Seconds(0.05),
        ):
            pass
