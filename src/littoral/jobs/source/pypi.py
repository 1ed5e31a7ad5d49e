"""``pypi:`` a file inside a wheel, fetched by the user's own package client."""

import hashlib
import importlib.util
import re
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL
from typing import TypeAlias, final

import anyio
import anyio.to_thread

from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.model import FileSpec
from littoral.domain.units import Seconds
from littoral.jobs.source.piece import checked, file_pieces
from littoral.jobs.source.wheel import check_member, member_pieces

Progress: TypeAlias = Callable[[int, int | None], None]

REQUIREMENT = re.compile(r"pypi:([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)")
PYTHON = sys.executable if importlib.util.find_spec("pip") else None
WATCH_S = Seconds(0.25)
LOG_BYTES = 4096
OWN_PREFIX = "LITTORAL_"
PIP = ("download", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")
ONLY = ("--no-deps", "--only-binary", ":all:")


@final
class PypiSource:
    """Fetches ``pypi:<name>==<version>`` with ``pip download``, or with ``uv``.

    The client reads its own configuration: index, mirror, proxy, credentials. The package is never
    installed, its dependencies are never fetched, nothing in it is run.

    Args:
        environment: Variables of the client; our own are left out.
        python: Interpreter whose pip is used; None where it has none.
        uv: The ``uv`` to use where there is no pip; looked up where empty.
    """

    def __init__(
        self, *, environment: Mapping[str, str], python: str | None = PYTHON, uv: str = ""
    ) -> None:
        self._environment = {
            name: value for name, value in environment.items() if not name.startswith(OWN_PREFIX)
        }
        self._python = python
        self._uv = uv or shutil.which("uv", path=environment.get("PATH")) or ""

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Progress
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """Fetch the wheel, then open its member as a stream of pieces.

        Raises:
            InvalidInput: The source or the member is malformed.
            UpstreamFailed: The client failed, or gave something else than was pinned.
        """
        named = REQUIREMENT.fullmatch(file.source)
        if named is None:
            raise InvalidInput(
                f"{file.source!r} must be pypi:<name>==<version>", param="spec.source"
            )
        if file.member is not None:
            check_member(file.member)
        folder = Path(scratch)
        client = _Client(folder=folder, environment=self._environment, progress=progress, pin=file)
        if self._python is not None:
            raw = member_pieces(await self._by_pip(client, self._python), file)
        else:
            raw = file_pieces(await self._by_uv(client))
        async with aclosing(raw), aclosing(checked(raw, file)) as pieces:
            yield pieces

    async def _by_pip(self, client: "_Client", python: str) -> Path:
        wheels = client.folder / "wheel"
        pin = client.pin.container_sha256
        present = sorted(wheels.glob("*.whl"))
        if pin is None or len(present) != 1 or await _digest(present[0]) != pin:
            shutil.rmtree(wheels, ignore_errors=True)
            command = [python, "-m", "pip", *PIP, *ONLY, *client.pinned()]
            await client.run([*command, "--dest", str(wheels), "-r", str(client.requirements)])
            present = sorted(wheels.glob("*.whl"))
        if len(present) != 1:
            raise UpstreamFailed(f"the package client left {len(present)} wheels, not one")
        return present[0]

    async def _by_uv(self, client: "_Client") -> Path:
        if not self._uv:
            raise UpstreamFailed("a pypi: source needs pip or uv; neither is installed")
        member = client.pin.member
        if member is None:
            raise InvalidInput("without pip, a pypi: source must name its member")
        target = client.folder / "unpacked"
        shutil.rmtree(target, ignore_errors=True)
        command = [self._uv, "pip", "install", "--no-progress", *ONLY, *client.pinned()]
        await client.run([*command, "--target", str(target), "-r", str(client.requirements)])
        path = target / member
        if path.is_symlink() or not path.is_file():
            raise InvalidInput(f"the wheel holds no member {member!r}", param="spec.member")
        return path


@final
class _Client:
    """One run of the package client in a folder of its own."""

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        progress: Progress,
        pin: FileSpec,
    ) -> None:
        self.folder = folder
        self.pin = pin
        self.requirements = folder / "requirements.txt"
        self._environment = {**environment, "TMPDIR": str(folder / "tmp")}
        self._progress = progress

    def pinned(self) -> Sequence[str]:
        """The flag that makes the client refuse what has no digest, where there is one."""
        return ("--require-hashes",) if self.pin.container_sha256 else ()

    async def run(self, command: Sequence[str]) -> None:
        """Run the client to its end, telling how much it has fetched."""
        (self.folder / "tmp").mkdir(parents=True, exist_ok=True)
        line = self.pin.source.removeprefix("pypi:")
        if self.pin.container_sha256:
            line += f" --hash=sha256:{self.pin.container_sha256}"
        self.requirements.write_text(line + "\n")
        log = self.folder / "client.log"
        with log.open("wb") as output:
            process = await anyio.open_process(
                list(command), stdin=DEVNULL, stdout=output, stderr=output, env=self._environment
            )
            async with process, anyio.create_task_group() as group:
                group.start_soon(self._watch)
                await process.wait()
                group.cancel_scope.cancel()
        if process.returncode:
            raise UpstreamFailed(f"the package client failed: {_last_words(log)}")

    async def _watch(self) -> None:
        while True:
            fetched = await anyio.to_thread.run_sync(_size, self.folder)
            self._progress(fetched, None)
            await anyio.sleep(WATCH_S)


def _size(folder: Path) -> int:
    """Bytes of the biggest file below a folder: the wheel on its way."""
    biggest = 0
    for path in folder.rglob("*"):
        try:
            biggest = max(biggest, path.lstat().st_size)
        except FileNotFoundError:
            continue
    return biggest


async def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    async for piece in file_pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def _last_words(log: Path) -> str:
    """The client's errors; all its last lines where it marked none."""
    lines = log.read_bytes()[-LOG_BYTES:].decode("utf-8", "replace").splitlines()
    shown = ["".join(letter for letter in line if letter.isprintable()) for line in lines]
    errors = [line for line in shown if line.lower().startswith("error")]
    return " | ".join((errors or shown)[-4:]) or "it said nothing"
