"""A child of the supervisor: started with its settings, restarted with back-off, its log kept."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

from littoral.app.handed import line_for
from littoral.app.settings import Settings
from littoral.domain.clock import Chance, Clock
from littoral.domain.units import Seconds

NEVER = Seconds(float("inf"))
STEADY = Seconds(10.0)
"""Running for so long forgives earlier deaths."""
RESTART_CAP = Seconds(30.0)
LOG_BYTES = 10 * 1024 * 1024
"""A larger log is put aside at the start."""
PASSED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONPATH",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
)
PASSED_PREFIXES = ("PIP_",)
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""Variables that a child gets: where things are, and how sources are reached; no others."""


PROGRAM = (sys.executable, "-m", "littoral")


class Row(TypedDict):
    """One process as the status shows it."""

    role: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Spawn:
    """How children are started; ``environment`` is our own, of which they get what is listed."""

    settings: Settings
    clock: Clock
    chance: Chance
    environment: Mapping[str, str]
    program: Sequence[str] = PROGRAM


class Child:
    """One role and the process that plays it now.

    Args:
        role: The word after ``python -m littoral``.
        spawn: How to start it.
        descriptors: Open files that it inherits, by name.
    """

    def __init__(self, role: str, spawn: Spawn, *, descriptors: Mapping[str, int]) -> None:
        self.due = Seconds(0.0)
        self.children: list[Row] = []
        self._role = role
        self._spawn = spawn
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None
        self._log = spawn.settings.path("logs", f"{role}.log")
        self._since = Seconds(0.0)
        self._streak = 0
        self._line = b""
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))

    @property
    def running(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    @property
    def row(self) -> Row:
        """Its line in the status; pid 0 where it does not run."""
        return {"role": self._role, "pid": 0 if self._process is None else self._process.pid}

    @property
    def output(self) -> int | None:
        """The descriptor of its standard output while it is open."""
        pipe = None if self._process is None else self._process.stdout
        return None if pipe is None or pipe.closed else pipe.fileno()

    def start(self) -> None:
        """Start it and hand it its settings."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [*self._spawn.program, self._role],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(self._environment()),
                pass_fds=tuple(self._descriptors.values()),
                start_new_session=True,
            )
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line_for(self._spawn.settings, self._descriptors))
                self._process.stdin.flush()
        self._since = self._spawn.clock.now()
        self.due = NEVER

    def read(self) -> None:
        """Take what it wrote: each whole line is role and pid of its own children."""
        output = self.output
        data = b"" if output is None else os.read(output, 65536)
        if not data and self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                told = cast("dict[str, int]", json.loads(line))
                self.children = [{"role": role, "pid": pid} for role, pid in told.items()]

    def ended(self) -> int | None:
        """Its exit status, once, if it has ended; it then is due again after a back-off."""
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        self._forget()
        lived = self._spawn.clock.now() - self._since
        self._streak = 0 if lived >= STEADY else self._streak + 1
        longest = min(RESTART_CAP, self._spawn.settings.restart_max_s)
        bound = min(longest, 0.2 * 2.0 ** min(self._streak, 20))
        wait = 0.0 if self._streak <= 1 else self._spawn.chance.random() * bound
        self.due = Seconds(self._spawn.clock.now() + wait)
        return code

    def stop(self) -> None:
        """Ask it to end."""
        if self.running and self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, with whatever it started in its own session."""
        if self._process is not None:
            if self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._forget()

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else f"{self._role} ended without a word"

    def _forget(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._process = None
        self._line = b""
        self.children = []

    def _environment(self) -> Mapping[str, str]:
        names = {*PASSED, *self._spawn.settings.pass_environment}
        return {
            name: value
            for name, value in self._spawn.environment.items()
            if name in names or name.startswith(PASSED_PREFIXES) or name.lower() in PROXIES
        }
