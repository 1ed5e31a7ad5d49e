"""The instance on this host, as its files and the kernel show it; it need not answer."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from littoral.app import supervisor
from littoral.app.settings import Settings
from littoral.domain.units import Bytes, Seconds

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process of an instance."""

    role: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Running:
    """What the supervisor wrote down of itself and its children.

    ``certificate`` is the file of what it shows; empty where it serves without TLS.
    """

    pid: int
    url: str
    certificate: str
    version: str
    processes: tuple[Process, ...]


def running(settings: Settings) -> Running | None:
    """The instance in this data folder, if its supervisor lives."""
    try:
        told = supervisor.status(settings)
    except (OSError, ValueError):
        return None
    pid = None if told is None else told.get("pid")
    if told is None or not isinstance(pid, int):
        return None
    rows = cast("list[dict[str, object]]", told.get("processes", []))
    return Running(
        pid=pid,
        url=str(told.get("url", "")),
        certificate=str(told.get("certificate", "")),
        version=str(told.get("version", "")),
        processes=tuple(_process(row) for row in rows),
    )


def _process(row: dict[str, object]) -> Process:
    pid = row.get("pid")
    return Process(role=str(row.get("role", "")), pid=pid if isinstance(pid, int) else 0)


def alive(pid: int) -> bool:
    """Whether a process of this id runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def memory(pid: int) -> Bytes | None:
    """Proportional set size of a process: shared pages are split among those who share them."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return Bytes(int(line.split()[1]) * 1024)
    return None


def uptime(pid: int) -> Seconds | None:
    """How long a process has run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
        now = float(Path("/proc/uptime").read_text("utf-8").split()[0])
    except OSError:
        return None
    started = int(stat.rpartition(")")[2].split()[19]) / TICKS
    return Seconds(max(0.0, now - started))
