"""Making a version: a virtual environment of its own, without a network.

In it are the wheels that were delivered, and links to what the running version has of the rest.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, cast

from anyio import to_thread

from littoral.app.child import PASSED
from littoral.app.system import environment
from littoral.app.version import VERSION
from littoral.app.versions import (
    CURRENT,
    FOLDER,
    PREVIOUS,
    named_by,
    point,
    prepare,
    python_of_host,
)
from littoral.domain.errors import Damaged, InvalidInput, UnknownName
from littoral.domain.failpoint import FailpointName
from littoral.domain.ports import Failpoints
from littoral.domain.release import (
    OURS,
    WITHIN_S,
    Failure,
    Host,
    Trial,
    checked_version,
    name_of,
    normal,
)
from littoral.stores.disk import LocalDisk
from littoral.stores.durable import room_for

WHOLE: Final = "littoral-whole"
"""A file that a version has once it is complete."""
TRIAL, FAILED = f"{FOLDER}/trial.json", f"{FOLDER}/failed.json"
SWITCHED: Final[FailpointName] = "update.switched"
LONG_S: Final = 600.0
SHORT_S: Final = 60.0
_REQUIRED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class VenvInstaller:
    """Adapter of ``Installer``: environments in the data folder.

    Args:
        data: The data folder.
        failpoints: ``update.switched`` stands behind the new name of ``current``.
    """

    def __init__(self, data: str, failpoints: Failpoints) -> None:
        self._data = data
        self._folder = Path(data, FOLDER)
        self._disk = LocalDisk(data)
        self._failpoints = failpoints

    @property
    def running(self) -> str:
        """The version of this very process."""
        return VERSION

    def host(self) -> Host:
        """What wheels must fit."""
        return Host(
            python=sys.version_info[:2],
            system="macosx" if sys.platform == "darwin" else "linux",
            machine=platform.machine(),
            musl=platform.libc_ver()[0] != "glibc" and sys.platform != "darwin",
        )

    def installed(self) -> Mapping[str, str]:
        """Version of each distribution that the running version uses."""
        return {name: each.version for name, each in _used().items()}

    def has(self, version: str) -> bool:
        """Whether a version is here, whole."""
        place = self._place(version)
        return place.is_symlink() or (place / WHOLE).exists()

    async def install(self, version: str, wheels: Mapping[str, str]) -> None:
        """Make an environment of a version."""
        await to_thread.run_sync(self._install, version, wheels)

    async def check(self, version: str) -> None:
        """Have a version say its name and read this node's data."""
        await to_thread.run_sync(self._check, version)

    def switch(self, version: str, *, within_s: float) -> None:
        """Let the next start be that of another version, on trial."""
        if not self.has(version):
            raise UnknownName(f"version {version} is not installed here")
        previous = prepare(self._data)
        trial = {"version": version, "previous": previous, "within_s": within_s, "starts": 0}
        self._disk.remove(FAILED)
        self._disk.write(TRIAL, json.dumps(trial).encode())
        with room_for("the name of the current version"):
            point(self._folder / CURRENT, version)
        self._failpoints.hit(SWITCHED)

    def trial(self) -> Trial | None:
        """The trial that the running version is on."""
        told = self._read(TRIAL)
        if told.get("version") != VERSION:
            return None
        within_s = float(str(told.get("within_s", WITHIN_S)))
        return Trial(version=VERSION, previous=str(told.get("previous", "")), within_s=within_s)

    def confirm(self) -> None:
        """The running version has proved itself: what ran before can be gone back to.

        Where that cannot be noted, as on a full disk, it is not: a proof does not fail for it.
        """
        trial, link = self.trial(), self._folder / PREVIOUS
        if trial is not None and trial.previous not in {"", VERSION}:
            try:
                point(link, checked_version(trial.previous))
            except OSError:
                link.unlink(missing_ok=True)  # it names what ran even before
        self._disk.remove(TRIAL)

    def previous(self) -> str:
        """The version that ran before the running one proved itself."""
        return named_by(self._folder / PREVIOUS)

    def failure(self) -> Failure | None:
        """The last version that was left again."""
        told = self._read(FAILED)
        return Failure(version=str(told["version"]), why=str(told["why"])) if told else None

    def forget(self) -> None:
        """The failure was told."""
        self._disk.remove(FAILED)

    async def remove(self, version: str) -> None:
        """Remove a version that does not run."""
        place = self._place(version)
        if version != VERSION and not place.is_symlink():
            await to_thread.run_sync(partial(shutil.rmtree, place, ignore_errors=True))

    async def prune(self, keep: Iterable[str]) -> Sequence[str]:
        """Remove versions that are not named, nor run."""
        return await to_thread.run_sync(self._prune, keep)

    def _prune(self, keep: Iterable[str]) -> Sequence[str]:
        names = {*keep, VERSION, *map(named_by, (self._folder / CURRENT, self._folder / PREVIOUS))}
        gone: list[str] = []
        for place in sorted(self._folder.iterdir()) if self._folder.is_dir() else ():
            if place.name not in names and place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
                gone.append(place.name)
        return gone

    def _install(self, version: str, wheels: Mapping[str, str]) -> None:
        prepare(self._data)
        place = self._place(version)
        if place.is_symlink():
            raise InvalidInput(f"{version} is the version that was installed by hand")
        shutil.rmtree(place, ignore_errors=True)
        try:
            with room_for(f"version {version}"):
                self._make(place, wheels)
        except BaseException as error:
            shutil.rmtree(place, ignore_errors=True)
            if isinstance(error, OSError):
                raise Damaged(f"version {version} cannot be made: {error}") from error
            raise
        self._disk.write(f"{FOLDER}/{version}/{WHOLE}", b"")

    def _make(self, place: Path, wheels: Mapping[str, str]) -> None:
        """Environment, links to what is used as it is, then the wheels; then all must agree."""
        _run([python_of_host(), "-m", "venv", "--without-pip", str(place)], within_s=LONG_S)
        names = {normal(each.partition("-")[0]) for each in wheels}
        carry(_packages(place), {n: d for n, d in _used().items() if n not in names | {OURS}})
        with _shelf(place, wheels) as shelf:
            pip = [*_pip(shelf), "--python", str(place / "bin/python")]
            words = ["install", "--no-index", "--no-deps", "--require-hashes", "--no-compile"]
            wanted = ["--find-links", str(shelf), "-r", str(shelf / "wanted.txt")]
            _run([*pip, *words, *wanted], within_s=LONG_S)
            _run([*pip, "check"], within_s=SHORT_S)

    def _check(self, version: str) -> None:
        python = str(self._place(version) / "bin/python")
        ours = [python, "-m", "littoral"]
        said = _run([*ours, "version", "--json"], within_s=SHORT_S)
        try:
            told = cast("object", json.loads(said))
        except ValueError:
            told = None
        if not isinstance(told, dict) or cast("dict[str, object]", told).get("version") != version:
            raise Damaged(f"version {version} says that it is {said.strip():.100}")
        _run([*ours, "node", "check", "--data-dir", self._data], within_s=SHORT_S)

    def _place(self, version: str) -> Path:
        return self._folder / checked_version(version)

    def _read(self, name: str) -> dict[str, object]:
        try:
            return cast("dict[str, object]", json.loads(self._disk.read(name) or b"{}"))
        except ValueError:
            return {}


def carry(target: Path, used: Mapping[str, importlib.metadata.Distribution]) -> None:
    """Link distributions into other packages, file by file; what is no package stays behind."""
    for each in used.values():
        for file in each.files or ():
            if file.is_absolute() or ".." in file.parts:
                continue
            source, place = Path(str(each.locate_file(file))), target / Path(*file.parts)
            if source.is_file() and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                _same(source, place)


def _same(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, place)


def _used() -> Mapping[str, importlib.metadata.Distribution]:
    """Every distribution that Littoral uses here, with itself and the package client, by name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [OURS, "pip"]
    while waiting:
        name = normal(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += _required(found[name], extras=name == OURS)
    return found


def _required(each: importlib.metadata.Distribution, *, extras: bool) -> Iterator[str]:
    for line in each.requires or ():
        match = _REQUIRED.match(line)
        if match is not None and (extras or "extra ==" not in line):
            yield match[0]


class _shelf:  # noqa: N801  a context, as a function would be
    """Wheels under their own names beside the list of what they must be, for the package client."""

    def __init__(self, place: Path, wheels: Mapping[str, str]) -> None:
        self._folder = place / "shelf"
        self._wheels = wheels

    def __enter__(self) -> Path:
        self._folder.mkdir()
        for name, path in self._wheels.items():
            _same(Path(path), self._folder / name)
        (self._folder / "wanted.txt").write_text(wanted(self._wheels), "ascii")
        return self._folder

    def __exit__(self, *_error: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def wanted(wheels: Mapping[str, str]) -> str:
    """What the package client is to install, from wheels whose paths end in their SHA-256.

    Two wheels of one version may both fit; it takes the better one where they share a line.
    """
    hashes: dict[tuple[str, str], list[str]] = {}
    for name, path in sorted(wheels.items()):
        hashes.setdefault(name_of(name), []).append(f" --hash=sha256:{Path(path).name}")
    lines = (f"{name}=={version}{''.join(each)}" for (name, version), each in hashes.items())
    return "\n".join(lines)


def _pip(shelf: Path) -> list[str]:
    """How to call the package client: ours, the one that Python brings, or one that came along."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    brought = importlib.util.find_spec("ensurepip")
    own = Path(brought.origin).parent / "_bundled" if brought and brought.origin else shelf
    for place in (shelf, own, Path("/usr/share/python-wheels")):
        for wheel in sorted(place.glob("pip-*-py3-none-any.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise InvalidInput(
        "there is no pip here to install a version with: install python3-venv, or add a wheel of "
        "pip to the release"
    )


def _run(words: Sequence[str], *, within_s: float) -> str:
    """Run a program without a shell and with few variables; returns what it printed.

    Raises:
        Damaged: It failed, or took too long; the message ends what it said.
    """
    known = {name: value for name, value in environment().items() if name in _KEPT}
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter
            words,
            capture_output=True,
            text=True,
            errors="replace",
            env={**known, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
            stdin=subprocess.DEVNULL,
            timeout=within_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Damaged(f"{Path(words[0]).name} {words[2]} did not end well: {error}") from error
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Damaged(f"{' '.join(words[1:4])} failed: {lines[-1] if lines else 'silently'}")
    return done.stdout


_KEPT: Final = frozenset(PASSED) - {"PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH"}


def _packages(place: Path) -> Path:
    return place / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
