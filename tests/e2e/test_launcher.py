"""The launcher: it starts what is current, and goes back where that does not prove itself."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from littoral.app import launcher

GOOD = "echo {name} >> {log}"
PROVES = "echo {name} >> {log}; rm {folder}/trial.json; sleep 1; exit 7"
BREAKS = "echo {name} >> {log}; echo broken >&2; exit 3"
HANGS = "echo {name} >> {log}; echo stuck >&2; exec sleep 60"
AGAIN = "echo {name} >> {log}; exit 75"


class Place:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = data / "versions"
        self.log = data / "log"

    def version(self, name: str, does: str) -> None:
        program = self.folder / name / "bin/python"
        program.parent.mkdir(parents=True)
        text = does.format(name=name, log=self.log, folder=self.folder)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    def current(self, name: str, *, previous: str = "", within_s: float = 30.0) -> None:
        (self.folder / "current").unlink(missing_ok=True)
        (self.folder / "current").symlink_to(name)
        if previous:
            trial = {"version": name, "previous": previous, "within_s": within_s, "starts": 0}
            (self.folder / "trial.json").write_text(json.dumps(trial))

    def command(self) -> list[str]:
        return [sys.executable, "-I", "-S", launcher.__file__, str(self.data), "up"]

    def run(self) -> int:
        done = subprocess.run(self.command(), capture_output=True, timeout=20, check=False)
        return done.returncode

    @property
    def ran(self) -> list[str]:
        return self.log.read_text().split()

    @property
    def failure(self) -> dict[str, str]:
        return json.loads((self.folder / "failed.json").read_text())


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def test_without_a_trial_it_becomes_what_is_current(place):
    place.version("1", GOOD)
    place.current("1")
    assert place.run() == 0
    assert place.ran == ["1"]
    assert not (place.data / "run/launcher").exists()


def test_a_version_that_ends_three_times_is_left(place):
    place.version("1", GOOD)
    place.version("2", BREAKS)
    place.current("2", previous="1")
    assert place.run() == 0
    assert place.ran == ["2", "2", "2", "1"]
    assert place.failure == {
        "version": "2",
        "why": "it was started 3 times and ended: broken",
    }
    assert (place.folder / "current").readlink() == Path("1")
    assert not (place.folder / "trial.json").exists()


def test_a_version_that_is_not_healthy_in_time_is_left(place):
    place.version("1", GOOD)
    place.version("2", HANGS)
    place.current("2", previous="1", within_s=1.0)
    assert place.run() == 0
    assert place.ran == ["2", "1"]
    assert place.failure["why"] == "it was not healthy in time: stuck"


def test_a_version_that_cannot_be_started_is_left(place):
    place.version("1", GOOD)
    (place.folder / "2").mkdir(parents=True)
    place.current("2", previous="1")
    assert place.run() == 0
    assert place.ran == ["1"]
    assert "cannot be started" in place.failure["why"]


def test_a_version_that_proved_itself_ends_as_it_ends(place):
    place.version("1", GOOD)
    place.version("2", PROVES)
    place.current("2", previous="1", within_s=0.5)
    assert place.run() == 7
    assert place.ran == ["2"]


def test_a_version_that_hands_over_is_followed_by_what_is_current_then(place):
    place.version("1", GOOD)
    place.version("2", AGAIN + "; true")
    program = place.folder / "2/bin/python"
    link = place.folder / "current"
    program.write_text(f"#!/bin/sh\nln -sfn 1 {link}; exit 75\n")
    place.current("2", previous="1")
    assert place.run() == 0
    assert place.ran == ["1"]


def test_a_trial_that_never_began_is_forgotten(place):
    place.version("1", GOOD)
    place.current("1")
    (place.folder / "trial.json").write_text('{"version": "2", "previous": "1"}')
    assert place.run() == 0
    assert not (place.folder / "trial.json").exists()


def test_a_signal_is_passed_on_to_the_version_on_trial(place):
    place.version("1", GOOD)
    place.version("2", "trap 'exit 0' TERM; echo 2 >> {log}; while true; do sleep 0.1; done")
    place.current("2", previous="1")
    process = subprocess.Popen(place.command())
    while not place.log.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_a_version_on_trial_that_ends_badly_when_told_to_stop_is_not_started_again(place):
    place.version("1", GOOD)
    place.version("2", "echo 2 >> {log}; exec sleep 60")
    place.current("2", previous="1")
    process = subprocess.Popen(place.command())
    while not place.log.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) != 0
    assert place.ran == ["2"]
