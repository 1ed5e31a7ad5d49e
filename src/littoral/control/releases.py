"""Releases: versions of Littoral that nodes may be taken to, as wheels in control's store."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from littoral.control.worker import Bell, Workers
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import Digest
from littoral.domain.ports import Blobs, State
from littoral.domain.release import (
    MOST_WHEELS,
    OURS,
    Release,
    WheelFile,
    checked_version,
    name_of,
)
from littoral.domain.units import Bytes

PREFIX: Final = "release/"
STATES: Final = "littoral/app/version.py"
"""The member of our wheel that says which version it is, and what it requires."""
MOST_TEXT: Final = 64 * 1024
_SAID: Final = re.compile(r'^(?P<name>VERSION|REQUIRES) = "(?P<value>[^"]{1,64})"$', re.MULTILINE)


class Releases:
    """Takes wheels, makes releases of them, and forgets them.

    Args:
        state: Where they are kept.
        blobs: Where their wheels are.
        workers: Where both are touched.
        bell: Rung for a new one, so that its wheels are measured.
    """

    def __init__(self, state: State, blobs: Blobs, *, workers: Workers, bell: Bell) -> None:
        self.state = state
        self.workers = workers
        self._blobs = blobs
        self._bell = bell
        self._known: dict[str, Release] = {
            name.removeprefix(PREFIX): msgspec.json.decode(value, type=Release)
            for name, value in state.values(PREFIX).items()
        }

    def all(self) -> Sequence[Release]:
        """Every release, by version."""
        return [release for _, release in sorted(self._known.items())]

    def find(self, version: str) -> Release | None:
        """A release; None where there is none."""
        return self._known.get(version)

    def wheels(self) -> Iterable[Digest]:
        """Every wheel of every release."""
        return {wheel.digest for each in self._known.values() for wheel in each.wheels}

    async def take(self, name: str, data: bytes) -> WheelFile:
        """Keep a wheel; it belongs to no release yet.

        Raises:
            InvalidInput: It is not a wheel.
            StorageFull: No room.
        """
        name_of(name)
        if not data.startswith(b"PK\x03\x04"):
            raise InvalidInput(f"{name}: these bytes are no wheel", param="data")
        digest = await self.workers.files(partial(self._written, data))
        return WheelFile(name=name, digest=digest, size=Bytes(len(data)))

    async def add(self, wheels: Sequence[WheelFile]) -> Release:
        """Make a release of wheels that were taken.

        Raises:
            InvalidInput: A wheel is not here, there twice, or Littoral's own is missing or is not
                what its name says.
            Conflict: This version is known with other wheels.
        """
        if not 1 <= len(wheels) <= MOST_WHEELS:
            raise InvalidInput(f"{len(wheels)} wheels; 1 to {MOST_WHEELS}", param="wheels")
        names = [wheel.name for wheel in wheels]
        ours = [wheel for wheel in wheels if name_of(wheel.name)[0] == OURS]
        versions = {name_of(wheel.name)[1] for wheel in ours}
        if len(set(names)) < len(names) or len(versions) != 1:
            raise InvalidInput(
                "a release is one version of Littoral: give each wheel once, and those of one "
                f"version of {OURS} among them; here are {', '.join(sorted(versions)) or 'none'}",
                param="wheels",
            )
        version = checked_version(versions.pop())
        requires = {await self._requires(wheel, version) for wheel in ours}
        for wheel in wheels:
            await self._path(wheel)
        if len(requires) > 1:
            raise InvalidInput(f"the wheels of {version} are not of one build", param="wheels")
        made = Release(
            version=version,
            wheels=tuple(sorted(wheels, key=lambda wheel: wheel.name)),
            requires=requires.pop(),
        )
        await self._keep(made)
        return made

    async def remove(self, version: str, *, used: str) -> Release:
        """Forget a release; its wheels go with the next cleaning.

        Args:
            version: Which.
            used: The version that is on its way now; empty where none is.

        Raises:
            UnknownName: There is none.
            Conflict: It is on its way to nodes.
        """
        release = self._known.get(version)
        if release is None:
            known = ", ".join(sorted(self._known)) or "none"
            raise UnknownName(f"no release {version!r:.80}; known: {known}")
        if version == used:
            raise Conflict(f"release {version} is on its way to nodes: undo that first")
        await self.workers.state(partial(self.state.put_value, PREFIX + version, None))
        del self._known[version]
        return release

    async def _keep(self, release: Release) -> None:
        known = self._known.get(release.version)
        if known is not None and known != release:
            raise Conflict(
                f"release {release.version} is known with other wheels: remove it, or give the new "
                "build a version of its own"
            )
        name, value = PREFIX + release.version, msgspec.json.encode(release)
        await self.workers.state(partial(self.state.put_value, name, value))
        self._known[release.version] = release
        self._bell.ring()

    async def _path(self, wheel: WheelFile) -> str:
        path = await self.workers.files(partial(self._blobs.path, wheel.digest))
        if path is None:
            raise InvalidInput(f"{wheel.name}: no wheel {wheel.digest:.80} was sent before")
        return path

    async def _requires(self, wheel: WheelFile, version: str) -> str:
        """What a wheel of ours says that it requires."""
        path = await self._path(wheel)
        said = await self.workers.files(partial(_said, path))
        if said.get("VERSION") != version:
            told = said.get("VERSION", "nothing")
            raise InvalidInput(f"{wheel.name} says of itself that it is {told}", param="wheels")
        return checked_version(said.get("REQUIRES", version))

    def _written(self, data: bytes) -> Digest:
        writer = self._blobs.writer()
        try:
            writer.write(data)
            return writer.commit()
        finally:
            writer.abort()


_UNREADABLE: Final = (
    OSError,
    KeyError,
    ValueError,
    EOFError,
    RuntimeError,  # it is encrypted, or packed in a way that is not known here
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def _said(path: str) -> Mapping[str, str]:
    """The constants in our wheel; blocks.

    Raises:
        InvalidInput: It is no wheel of ours.
    """
    try:
        with zipfile.ZipFile(path) as wheel, wheel.open(STATES) as file:
            text = file.read(MOST_TEXT).decode("utf-8", "replace")
    except _UNREADABLE as error:
        raise InvalidInput(f"this is no wheel of Littoral: {error}", param="wheels") from error
    return {found["name"]: found["value"] for found in _SAID.finditer(text)}
