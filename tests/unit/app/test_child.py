"""A child of the supervisor: its restarts, its environment, its log, what it says."""

import sys

import pytest

from littoral.app.child import LOG_BYTES, NEVER, Child, Spawn
from littoral.app.settings import Settings
from littoral.app.system import SystemClock
from littoral.testing.chance import SeededChance
from littoral.testing.clock import SettableClock

PROGRAM = """
import json, os, sys
sys.stdin.readline()
print(json.dumps({"gateway": 12}), flush=True)
print("not json", flush=True)
sys.stderr.write(" ".join(os.environ) + "\\nthe last word\\n")
sys.exit(%d)
"""


@pytest.fixture
def make(tmp_path):
    (tmp_path / "logs").mkdir()

    def made(code: int = 0, *, clock=None, environment=None) -> Child:
        settings = Settings(data_dir=str(tmp_path), restart_max_s=8.0)
        spawn = Spawn(
            settings=settings,
            clock=clock or SystemClock(),
            chance=SeededChance(1),
            environment=environment or {},
            program=(sys.executable, "-c", PROGRAM % code),
        )
        return Child("node", spawn, descriptors={})

    return made


def ending(child: Child) -> int:
    """Read all it says, wait for its end, and return its exit status."""
    while child.output is not None:
        child.read()
    while (code := child.ended()) is None:
        continue
    return code


def end_of(child: Child) -> int:
    """Start it, and wait for its end."""
    child.start()
    return ending(child)


def test_it_tells_who_runs_until_it_ends(make) -> None:
    child = make()
    child.start()
    assert child.due == NEVER
    assert child.row["pid"] > 0
    while child.output is not None:
        child.read()
    assert child.children == [{"role": "gateway", "pid": 12}]
    assert ending(child) == 0
    assert child.children == []
    assert child.row["pid"] == 0
    assert child.ended() is None


def test_its_exit_status_and_last_words_are_kept(make) -> None:
    child = make(2)
    assert end_of(child) == 2
    assert child.last_words() == "the last word"


def test_the_first_restart_is_at_once_and_later_ones_wait_longer(make) -> None:
    clock = SettableClock()
    child = make(1, clock=clock)
    waits = []
    for _ in range(8):
        end_of(child)
        waits.append(child.due - clock.now())
    assert waits[0] == 0
    assert max(waits) > 1
    assert all(0 <= wait <= 8 for wait in waits)


def test_running_for_long_forgives(make) -> None:
    clock = SettableClock()
    child = make(1, clock=clock)
    for _ in range(5):
        end_of(child)
    child.start()
    clock.advance(60)
    ending(child)
    assert child.due == clock.now()


def test_a_large_log_is_put_aside_at_the_start(make, tmp_path) -> None:
    log = tmp_path / "logs/node.log"
    log.write_bytes(b"x" * (LOG_BYTES + 1))
    make()
    assert not log.exists()
    assert (tmp_path / "logs/node.log.1").stat().st_size == LOG_BYTES + 1


def test_only_listed_variables_reach_it(make, tmp_path) -> None:
    given = {"PATH": "/bin", "AWS_SECRET": "s", "PIP_INDEX_URL": "u", "LITTORAL_PORT": "1"}
    given |= {"HTTPS_PROXY": "p", "MINE": "m"}
    child = make(environment=given)
    end_of(child)
    seen = set((tmp_path / "logs/node.log").read_text().splitlines()[-2].split())
    assert seen & set(given) == {"PATH", "PIP_INDEX_URL", "HTTPS_PROXY"}


def test_killing_what_does_not_run_is_safe(make) -> None:
    child = make()
    child.kill()
    child.stop()
    end_of(child)
    child.kill()
