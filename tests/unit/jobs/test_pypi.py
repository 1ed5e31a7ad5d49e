"""Members of wheels: fetched by the package client, taken out alone, refused when not sound."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from littoral.app.system import environment
from littoral.domain.errors import LittoralError, UpstreamFailed
from littoral.domain.model import VersionSpec
from littoral.jobs.source.pypi import PypiSource
from littoral.testing.origin import WHEEL, Origin, serving, wheel_of

DATA = bytes(range(256)) * 1024
MEMBER = "tiny_model/tiny.gguf"
GOOD = wheel_of({MEMBER: DATA})
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as known:
        known.index(GOOD)
        yield known


@pytest.fixture
def scratch(tmp_path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def source(origin, tmp_path) -> PypiSource:
    """A source whose client asks the local index."""
    settings = {
        "PATH": environment()["PATH"],
        "HOME": str(tmp_path),
        "PIP_INDEX_URL": f"{origin.url}/simple/",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
    }
    return PypiSource(environment=settings)


def pinned(wheel: bytes = GOOD, *, member: str | None = MEMBER) -> VersionSpec:
    return VersionSpec(
        name="v",
        source="pypi:tiny-model==1.0",
        container_sha256=hashlib.sha256(wheel).hexdigest(),
        member=member,
    )


def fetched_before(wheel: bytes, scratch: Path) -> PypiSource:
    """A source without a client, whose wheel is there already."""
    (scratch / "wheel").mkdir()
    (scratch / "wheel" / WHEEL).write_bytes(wheel)
    return PypiSource(environment={})


async def read(source: PypiSource, version: VersionSpec, scratch: Path) -> bytes:
    got = bytearray()
    async with source.fetch(version, scratch=str(scratch), progress=lambda *_: None) as pieces:
        async for piece in pieces:
            got += piece
    return bytes(got)


async def test_another_wheel_than_the_pinned_one_is_refused(origin, source, scratch):
    origin.index(wheel_of({MEMBER: DATA[::-1]}))
    with pytest.raises(UpstreamFailed, match=r"(?i)hash"):
        await read(source, pinned(), scratch)


async def test_a_pinned_wheel_that_is_there_is_not_fetched_again(origin, source, scratch):
    await read(source, pinned(), scratch)
    before = len(origin.seen)
    await read(source, pinned(), scratch)
    assert len(origin.seen) == before


async def test_a_wheel_that_is_there_and_is_another_is_fetched_again(source, scratch):
    fetched_before(b"another", scratch)
    assert await read(source, pinned(), scratch) == DATA


async def test_a_client_that_is_cut_off_says_so(origin, source, scratch):
    origin.cuts = [10_000, 100]
    with pytest.raises(UpstreamFailed, match="package client failed"):
        await read(source, pinned(), scratch)
    origin.cuts = []
    assert await read(source, pinned(), scratch) == DATA


async def test_the_only_gguf_member_needs_no_name(scratch):
    source = fetched_before(GOOD, scratch)
    assert await read(source, pinned(member=None), scratch) == DATA


@pytest.mark.parametrize(
    ("members", "member", "error"),
    [
        ({MEMBER: DATA}, "../outside.gguf", "no path inside"),
        ({MEMBER: DATA}, "/etc/passwd", "no path inside"),
        ({MEMBER: DATA}, "tiny_model/other.gguf", "exactly one member"),
        ({"a.gguf": DATA, "b.gguf": DATA}, None, "exactly one member"),
        ({"../outside.gguf": DATA}, None, "no path inside"),
        ({MEMBER: bytes(4_000_000)}, MEMBER, "compressed more than"),
    ],
)
async def test_a_member_that_is_not_sound_is_refused(scratch, members, member, error):
    wheel = wheel_of(members, compress=True)
    source = fetched_before(wheel, scratch)
    with pytest.raises(LittoralError, match=error):
        await read(source, pinned(wheel, member=member), scratch)


@pytest.mark.parametrize("keep", [100, 200_000])
async def test_a_truncated_wheel_is_refused(scratch, keep):
    source = fetched_before(GOOD[:keep], scratch)
    with pytest.raises(UpstreamFailed, match="damaged"):
        await read(source, pinned(GOOD[:keep]), scratch)


async def test_damaged_bytes_inside_a_wheel_are_refused(scratch):
    wheel = GOOD.replace(DATA[:256], bytes(256), 1)
    source = fetched_before(wheel, scratch)
    with pytest.raises(UpstreamFailed, match="damaged"):
        await read(source, pinned(wheel), scratch)


async def test_without_pip_and_uv_a_package_source_says_what_it_needs(scratch):
    bare = PypiSource(environment={"PATH": "/nowhere"}, python=None)
    with pytest.raises(UpstreamFailed, match="needs pip or uv"):
        await read(bare, pinned(), scratch)


async def test_a_fetch_may_be_cancelled(source, scratch):
    with anyio.CancelScope() as scope:
        async with source.fetch(pinned(), scratch=str(scratch), progress=lambda *_: scope.cancel()):
            pass
    assert scope.cancelled_caught
