"""Screening: the process that redacts long bodies for a gateway, started when one is needed."""

import socket
import subprocess
import sys
from typing import final

from littoral.app.system import environment

PROGRAM = (sys.executable, "-m", "littoral", "screen")


@final
class Screening:
    """Starts the process; the one before it has ended, or ends with its socket."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Screening":
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, if there is one."""
        self.end()

    def __call__(self) -> socket.socket:
        """Start it, and return our end of its socket.

        Raises:
            OSError: It cannot be started.
        """
        self.end()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  a command of our own
                    PROGRAM, stdin=theirs.fileno(), env=dict(environment()), start_new_session=True
                )
        except OSError:
            ours.close()
            raise
        ours.settimeout(0)
        return ours

    def end(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
