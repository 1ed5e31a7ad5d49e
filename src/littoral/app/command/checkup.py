"""What ``littoral doctor`` looks at, one function a thing."""

import importlib.util
import os
import platform
import resource
import shutil
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import apsw

from littoral.app.command import local
from littoral.app.command.figures import size
from littoral.app.settings import Settings
from littoral.app.system import SystemClock
from littoral.app.version import VERSION

Level: TypeAlias = Literal["ok", "warn", "bad"]
ENGINES = {
    "llama_cpp": ("xllamacpp", "pip install 'littoral[llama]'"),
    "embed": ("onnxruntime", "pip install 'littoral[embed]'"),
    "openvino": ("openvino_genai", "pip install 'littoral[openvino]'"),
    "whisper": ("faster_whisper", "pip install 'littoral[speech]'"),
}
FILES_WANTED = 4096
FILES_LEAST = 256
DISK_WANTED = 2_000_000_000
DISK_LEAST = 200_000_000
MEMORY_WANTED = 1_000_000_000
SQLITE_LEAST = (3, 37, 0)
YEAR_2025_US = 1_735_689_600_000_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at; ``advice`` says what to do where it is not good."""

    level: Level
    subject: str
    value: str
    advice: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything."""
    checks: tuple[Callable[[Settings], list[Finding]], ...] = (
        _versions,
        _limits,
        _memory,
        _data,
        _port,
        _certificate,
        _clock,
        _engines,
        _sources,
    )
    return [finding for check in checks for finding in check(settings)]


def _versions(settings: Settings) -> list[Finding]:
    del settings
    python = platform.python_version()
    sqlite = apsw.sqlite_lib_version()
    old = sys.version_info < (3, 11)
    stale = tuple(int(part) for part in sqlite.split(".")) < SQLITE_LEAST
    return [
        Finding(level="ok", subject="littoral", value=VERSION),
        Finding(
            level="bad" if old else "ok",
            subject="python",
            value=f"{python} ({sys.executable})",
            advice="use Python 3.11 or newer" if old else "",
        ),
        Finding(level="ok", subject="platform", value=platform.platform()),
        Finding(
            level="bad" if stale else "ok",
            subject="sqlite",
            value=sqlite,
            advice="pip install --upgrade apsw" if stale else "",
        ),
    ]


def _limits(settings: Settings) -> list[Finding]:
    del settings
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    level: Level = "bad" if soft < FILES_LEAST else "warn" if soft < FILES_WANTED else "ok"
    advice = f"ulimit -n {FILES_WANTED} before littoral up: each connection takes a file"
    return [
        Finding(
            level=level,
            subject="open files",
            value=f"{soft} (at most {hard})",
            advice="" if level == "ok" else advice,
        )
    ]


def _memory(settings: Settings) -> list[Finding]:
    del settings
    free = _meminfo("MemAvailable")
    scant = free is not None and free < MEMORY_WANTED
    shown = "unknown" if free is None else f"{size(free)} free of {size(_meminfo('MemTotal') or 0)}"
    return [
        Finding(level="ok", subject="cores", value=str(len(os.sched_getaffinity(0)))),
        Finding(
            level="warn" if scant or free is None else "ok",
            subject="memory",
            value=shown,
            advice="only very small models fit; end other programs" if scant else "",
        ),
    ]


def _meminfo(name: str) -> int | None:
    try:
        text = Path("/proc/meminfo").read_text("utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _data(settings: Settings) -> list[Finding]:
    folder = Path(settings.data_dir)
    near = folder
    while not near.exists():
        near = near.parent
    free = shutil.disk_usage(near).free
    low: Level = "bad" if free < DISK_LEAST else "warn" if free < DISK_WANTED else "ok"
    room = "" if low == "ok" else f"make room on the file system of {near}, or choose --data-dir"
    return [
        _folder(folder, near),
        Finding(level=low, subject="disk", value=f"{size(free)} free", advice=room),
    ]


def _folder(folder: Path, near: Path) -> Finding:
    if not folder.exists():
        good = os.access(near, os.W_OK)
        return Finding(
            level="ok" if good else "bad",
            subject="data folder",
            value=f"{folder} (will be made)",
            advice="" if good else f"{near} is not writable: choose another --data-dir",
        )
    mode = folder.stat().st_mode & 0o777
    if not os.access(folder, os.W_OK):
        advice = f"this user may not write there: chown -R $USER {folder}"
        return Finding(level="bad", subject="data folder", value=str(folder), advice=advice)
    if mode & 0o077:
        advice = f"others may read keys and usage: chmod 700 {folder}"
        value = f"{folder} (mode {mode:o})"
        return Finding(level="bad", subject="data folder", value=value, advice=advice)
    return Finding(level="ok", subject="data folder", value=f"{folder} (mode {mode:o})")


def _port(settings: Settings) -> list[Finding]:
    here = local.running(settings)
    if here is not None:
        value = f"{here.url} (this instance, pid {here.pid})"
        return [Finding(level="ok", subject="port", value=value)]
    place = f"{settings.host}:{settings.port}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            value = f"{place}: {error.strerror}"
            advice = "another program has it: littoral up --port 8090, or stop that program"
            return [Finding(level="bad", subject="port", value=value, advice=advice)]
    return [Finding(level="ok", subject="port", value=f"{place} is free")]


def _certificate(settings: Settings) -> list[Finding]:
    file = settings.tls_certificate
    if not file:
        return []
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, settings.tls_key)
    except OSError as error:
        value = f"{file}: {error.strerror or error}"
        advice = "tls_certificate and tls_key must be PEM files of one pair that this user may read"
        return [Finding(level="bad", subject="certificate", value=value, advice=advice)]
    return [Finding(level="ok", subject="certificate", value=f"{file} and its key are a pair")]


def _clock(settings: Settings) -> list[Finding]:
    wall = SystemClock().wall()
    newest = max(
        (file.stat().st_mtime for file in Path(settings.data_dir).glob("*.db")), default=0.0
    )
    if wall < YEAR_2025_US:
        advice = "set the clock: keys and usage are dated by it"
        return [Finding(level="bad", subject="clock", value="before 2025", advice=advice)]
    behind = newest - wall / 1e6
    if behind > 60:
        value = f"{behind:.0f} s behind the newest data"
        advice = "the clock went backwards: check NTP; usage would be dated wrong"
        return [Finding(level="warn", subject="clock", value=value, advice=advice)]
    return [Finding(level="ok", subject="clock", value="plausible")]


def _engines(settings: Settings) -> list[Finding]:
    del settings
    found = [
        Finding(level="ok", subject="engine fake", value="built in"),
        Finding(level="ok", subject="engine openai", value="built in"),
    ]
    for name, (module, install) in ENGINES.items():
        there = _installed(module)
        found.append(
            Finding(
                level="ok" if there else "warn",
                subject=f"engine {name}",
                value="installed" if there else "not installed",
                advice="" if there else install,
            )
        )
    return found


def _sources(settings: Settings) -> list[Finding]:
    del settings
    there = _installed("pip")
    advice = "python -m ensurepip; without pip no model can come from a package index"
    return [
        Finding(
            level="ok" if there else "warn",
            subject="source pypi",
            value="pip is there" if there else "no pip in this Python",
            advice="" if there else advice,
        )
    ]


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
