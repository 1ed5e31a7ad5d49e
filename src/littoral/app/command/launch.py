"""Starting the supervisor: in this process, or in the background."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from littoral.app.role.supervisor import command
from littoral.app.settings import Settings
from littoral.app.supervisor import make_folder
from littoral.domain.errors import Unavailable

LOG_TAIL = 5


@dataclass(frozen=True, kw_only=True)
class Started:
    """A supervisor that was just started; ``log`` and ``seen`` say where its own words begin."""

    pid: int
    log: Path | None = None
    seen: int = 0


class Ended(Unavailable):
    """The supervisor ended before it was ready."""


def background(settings: Settings) -> Started:
    """Start the supervisor in a session of its own, its output in ``logs/supervisor.log``."""
    log = make_folder(settings) / "logs/supervisor.log"
    with log.open("ab") as stream:
        log.chmod(0o600)
        seen = stream.tell()
        process = subprocess.Popen(  # noqa: S603  this very program
            command(settings),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    return Started(pid=process.pid, log=log, seen=seen)


def become(settings: Settings) -> NoReturn:
    """Replace this process by the supervisor, in the foreground."""
    words = command(settings)
    os.execv(words[0], words)  # noqa: S606  this very program


def beside(words: list[str]) -> None:
    """Run a program beside this process on the same terminal, and not as its child.

    This process then becomes the supervisor, which asks only its own children how they ended.
    """
    middle = os.fork()
    if middle == 0:  # pragma: no cover  runs in another process
        try:
            if os.fork() == 0:
                os.execv(words[0], words)  # noqa: S606  this very program
        finally:
            os._exit(0)
    os.waitpid(middle, 0)


def why(started: Started) -> str:
    """Why a supervisor ended, from what it wrote."""
    if started.log is None:
        return "Littoral ended before it was ready"
    with started.log.open("rb") as stream:
        stream.seek(started.seen)
        text = stream.read(1 << 16).decode("utf-8", "replace")
    last = [line for line in text.splitlines() if line.strip()][-LOG_TAIL:]
    told = [line.removeprefix("error: ") for line in last if line.startswith("error: ")] or last
    return "Littoral did not start: " + ("\n  ".join(told) or f"see {started.log}")
