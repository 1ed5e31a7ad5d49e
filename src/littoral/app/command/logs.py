"""``littoral logs``: what the processes of the local instance wrote."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.command.table import clean
from littoral.app.command.waiting import pause
from littoral.domain.errors import UnknownName
from littoral.domain.units import Seconds

TAIL_BYTES = 1 << 20
FOLLOW_S = Seconds(0.25)


def logs(
    role: str = "supervisor",
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    lines: Annotated[int, Parameter(name=["--lines", "-n"])] = 50,
    reach: Reach = HERE,
) -> None:
    """Show the end of one log.

    Args:
        role: Whose log: supervisor, control, node, gateway, or an engine.
        follow: Go on showing what is added, until Ctrl-C.
        lines: How many lines from the end.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    folder = settings_of(reach).path("logs")
    file = _chosen(folder, role, shown)
    if file is None:
        return
    last = tail(file, lines)
    shown.json({"file": str(file), "lines": last})
    for line in last:
        shown.line(clean(line))
    if not file.stat().st_size and not follow:
        shown.note("logs.empty", name=file.stem, others=_others(folder, file))
    if follow and not reach.json:
        for line in added(file):
            shown.line(clean(line))


def _others(folder: Path, file: Path) -> str:
    filled = [each.stem for each in folder.glob("*.log") if each.stat().st_size and each != file]
    return ", ".join(sorted(filled)) or "-"


def _chosen(folder: Path, role: str, shown: Screen) -> Path | None:
    known = sorted(file.stem for file in folder.glob("*.log")) if folder.is_dir() else []
    if not known:
        shown.note("logs.none", path=str(folder))
        shown.json({"file": None, "lines": []})
        return None
    wanted = [name for name in known if name == role] or [n for n in known if n.startswith(role)]
    if not wanted:
        raise UnknownName(f"there is no log {role!r} in {folder}; known: {', '.join(known)}")
    return folder / f"{wanted[0]}.log"


def tail(file: Path, count: int) -> list[str]:
    """The last lines of a file, from at most its last megabyte."""
    with file.open("rb") as stream:
        end = stream.seek(0, 2)
        stream.seek(max(0, end - TAIL_BYTES))
        text = stream.read(TAIL_BYTES).decode("utf-8", "replace")
    found = text.splitlines()
    return found[-count:] if count > 0 else []


def added(file: Path, *, wait: Callable[[Seconds], object] = pause) -> Iterator[str]:
    """Lines as they are written from now on; a file that shrinks is read from its start.

    Args:
        file: The log.
        wait: Lets time pass while nothing is added.
    """
    position = file.stat().st_size
    rest = ""
    while True:
        size = file.stat().st_size if file.exists() else 0
        if size < position:
            position, rest = 0, ""
        if size == position:
            wait(FOLLOW_S)
            continue
        with file.open("rb") as stream:
            stream.seek(position)
            piece = stream.read(TAIL_BYTES)
        position += len(piece)
        *whole, rest = (rest + piece.decode("utf-8", "replace")).split("\n")
        yield from whole
