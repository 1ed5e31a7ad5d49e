"""The launcher: starts the version of Littoral that ``current`` names, and goes back if it fails.

It is copied beside the versions (``versions/launcher.py``) and outlives them: standard library
only, nothing of ours, and it knows no more of a version than how to start it. While ``trial.json``
is there, the version of ``current`` is on trial: whoever proves itself removes that file. One that
was started three times in vain, or takes too long, is left for the version before it.

    python -I -S launcher.py DATA_FOLDER up WORDS...
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn, cast

AGAIN = 75
"""A version that ends with this status asks to be started anew: ``current`` may be another one."""
MOST_STARTS = 3
STOP_S = 20.0
PAUSE_S = 1.0


class Launcher:
    """One life of it.

    Args:
        data: The data folder.
        words: What to start a version with.
    """

    def __init__(self, data: Path, words: list[str]) -> None:
        self._folder = data / "versions"
        self._mark = data / "run/launcher"
        self._words = words
        self._stopping = 0
        self._said = b""

    def run(self) -> int:
        """Start what is current; returns only where that was on trial."""
        while True:
            trial = self._trial()
            if trial is None:
                self._become()
            self._mark.parent.mkdir(mode=0o700, exist_ok=True)
            self._mark.write_text(str(os.getpid()), "ascii")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, self._on_signal)
            code = self._try(trial)
            if code is not None:
                self._mark.unlink(missing_ok=True)
                return code

    def _trial(self) -> dict[str, object] | None:
        """The trial that concerns what is current; None where there is none."""
        file = self._folder / "trial.json"
        try:
            trial = cast("dict[str, object]", json.loads(file.read_text("utf-8")))
            if trial["version"] == (self._folder / "current").readlink().name:
                return trial
        except (OSError, ValueError, KeyError, TypeError):
            pass
        file.unlink(missing_ok=True)
        return None

    def _python(self) -> str:
        return str(self._folder / "current/bin/python")

    def _become(self) -> NoReturn:
        python = self._python()
        self._mark.unlink(missing_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.execv(python, [python, "-m", "littoral", *self._words])  # noqa: S606  what is installed

    def _try(self, trial: dict[str, object]) -> int | None:
        """Start the version on trial once; its exit status, None to look again."""
        starts = int(str(trial.get("starts", 0)))
        if starts >= MOST_STARTS:
            self._back(trial, f"it was started {starts} times and ended: {self._last()}")
            return None
        trial["starts"] = starts + 1
        self._write("trial.json", trial)
        try:
            child = self._start()
        except OSError as error:
            self._back(trial, f"it cannot be started: {error.strerror}")
            return None
        end = time.monotonic() + float(str(trial.get("within_s", 180)))
        is_told = False
        while self._lives(child):
            if self._stopping:
                child.send_signal(self._stopping)
                self._stopping, is_told = 0, True
            if self._is_proved():
                end = float("inf")
            elif time.monotonic() > end:
                self._end(child)
                self._back(trial, f"it was not healthy in time: {self._last()}")
                return None
        if child.returncode == AGAIN:
            return None
        if self._is_proved() or is_told or child.returncode == 0:
            return child.returncode
        time.sleep(PAUSE_S)
        return None

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603  what is installed
            [self._python(), "-m", "littoral", *self._words], stderr=subprocess.PIPE
        )

    def _lives(self, child: "subprocess.Popen[bytes]") -> bool:
        """Wait a moment, pass on what it says; whether it still runs."""
        if child.stderr is None or child.poll() is not None:
            self._pass_on(child, 0.0)
            return False
        self._pass_on(child, 0.25)
        return child.poll() is None

    def _pass_on(self, child: "subprocess.Popen[bytes]", wait_s: float) -> None:
        pipe = child.stderr
        if pipe is None or pipe.closed:
            time.sleep(wait_s)
            return
        while select.select([pipe], [], [], wait_s)[0]:
            said = os.read(pipe.fileno(), 65536)
            if not said:
                pipe.close()
                return
            sys.stderr.buffer.write(said)
            sys.stderr.flush()
            self._said = (self._said + said)[-4096:]
            wait_s = 0.0

    def _last(self) -> str:
        lines = [line for line in self._said.decode("utf-8", "replace").splitlines() if line]
        return lines[-1][:300] if lines else "without a word"

    def _is_proved(self) -> bool:
        return not (self._folder / "trial.json").exists()

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        child.send_signal(signal.SIGTERM)
        end = time.monotonic() + STOP_S
        while self._lives(child) and time.monotonic() < end:
            pass
        child.kill()
        child.wait()

    def _back(self, trial: dict[str, object], why: str) -> None:
        """Make the version before it the current one, and write down why."""
        self._write("failed.json", {"version": trial["version"], "why": why})
        link = self._folder / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(str(trial["previous"]))
        link.replace(self._folder / "current")
        (self._folder / "trial.json").unlink(missing_ok=True)
        self._sync()
        sys.stderr.write(f"littoral {trial['version']} is left for {trial['previous']}: {why}\n")
        self._said = b""

    def _write(self, name: str, content: object) -> None:
        part = self._folder / f"{name}.part"
        with part.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._folder / name)
        self._sync()

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stopping = number


if __name__ == "__main__":
    sys.exit(Launcher(Path(sys.argv[1]), sys.argv[2:]).run())
