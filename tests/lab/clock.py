"""Clock: wall time of a machine of the lab, beside the true one by as much as is asked."""

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")
NANOS = 1_000_000_000


def shim(folder: Path) -> Path | None:
    """Build the library that processes are started with; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = folder / "clock.so"
    words = [compiler, "-O2", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run(words, check=True)
    return made


class Clock:
    """Of one machine.

    Args:
        file: Holds how far beside the true time it is; mapped by its processes.
        library: Through which they see it; None where they see the true time.
    """

    def __init__(self, file: Path, library: Path | None) -> None:
        self._file = file
        self._library = library
        file.write_bytes(struct.pack("=q", 0))

    def shift(self, seconds: float) -> None:
        """Set it so far beside the true time, from now on; monotonic clocks stay."""
        with self._file.open("r+b", buffering=0) as out:
            out.write(struct.pack("=q", round(seconds * NANOS)))

    def variables(self) -> Mapping[str, str]:
        """Under which a process sees it."""
        if self._library is None:
            return {}
        found = {"LD_PRELOAD": str(self._library), "LAB_CLOCK": str(self._file)}
        return {**found, "LITTORAL_PASS_ENVIRONMENT": ",".join(found)}
