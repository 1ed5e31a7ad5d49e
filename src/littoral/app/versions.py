"""Versions of Littoral side by side: ``versions/<version>``, of which ``current`` names one.

The first one is a link to where Littoral was installed by hand. Standard library only: the command
line and the supervisor look here before anything is loaded.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from littoral.app import launcher
from littoral.app.version import VERSION
from littoral.domain.errors import InvalidInput

FOLDER: Final = "versions"
CURRENT: Final = "current"
PREVIOUS: Final = "previous"
"""Names the version that ran before the current one proved itself."""
LAUNCHER: Final = "launcher.py"


def prepare(data: str) -> str:
    """Let ``current`` name a version, the launcher be there; returns what ``current`` names.

    Raises:
        InvalidInput: Littoral is not installed in a virtual environment here.
    """
    folder = Path(data, FOLDER)
    if not is_kept():
        raise InvalidInput(
            "versions are kept only where Littoral is installed in a virtual environment: make one "
            "with python3 -m venv, and install Littoral in it"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / CURRENT).is_symlink():
        if not (folder / VERSION).exists():
            point(folder / VERSION, sys.prefix)
        point(folder / CURRENT, VERSION)
    if not (folder / LAUNCHER).exists():
        part = folder / f"{LAUNCHER}.part"
        part.write_bytes(Path(launcher.__file__).read_bytes())
        part.replace(folder / LAUNCHER)
    return named_by(folder / CURRENT)


def is_kept() -> bool:
    """Whether versions can be kept beside this one: it is in a virtual environment."""
    return sys.prefix != sys.base_prefix


def is_current(data: str) -> bool:
    """Whether the running version is what ``current`` names, or nothing is named."""
    place = Path(data, FOLDER, CURRENT)
    return not place.exists() or place.resolve() == Path(sys.prefix).resolve()


def launch_words(data: str, words: Sequence[str]) -> list[str]:
    """How to start whatever is current, with words of ``littoral up``."""
    return [python_of_host(), "-I", "-S", str(Path(data, FOLDER, LAUNCHER)), data, "up", *words]


def is_launched(data: str) -> bool:
    """Whether the launcher waits for this process."""
    try:
        return Path(data, "run/launcher").read_text("ascii") == str(os.getppid())
    except OSError:
        return False


def python_of_host() -> str:
    """The interpreter below every environment: it stays when a version goes."""
    return os.path.realpath(sys.executable)


def named_by(link: Path) -> str:
    """What a link names; empty where there is none."""
    return link.readlink().name if link.is_symlink() else ""


def point(link: Path, target: str) -> None:
    """Let a link name another target, in one step, synced."""
    part = link.with_name(f"{link.name}.new")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    part.replace(link)
    folder = os.open(link.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
