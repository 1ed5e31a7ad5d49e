"""Files on the web: resumed by range, by addresses that were judged, never half."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.model import VersionSpec
from littoral.domain.ports import Source
from littoral.domain.units import Seconds
from littoral.jobs.source.dial import Dialler
from littoral.jobs.source.https import PART, HttpsSource
from littoral.jobs.source.hub import HubSource
from littoral.testing.origin import Origin, serving
from littoral.trust.address import verdict

DATA = bytes(range(256)) * 1024
SHA = hashlib.sha256(DATA).hexdigest()
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as known:
        known.files["/weights"] = DATA
        yield known


@pytest.fixture
def scratch(tmp_path) -> str:
    (tmp_path / "scratch").mkdir()
    return str(tmp_path / "scratch")


async def read(source: Source, version: VersionSpec, scratch: str) -> bytes:
    got = bytearray()
    async with source.fetch(version, scratch=scratch, progress=lambda *_: None) as pieces:
        async for piece in pieces:
            got += piece
    return bytes(got)


def web(allowed=("127.0.0.0/8",)) -> HttpsSource:
    return HttpsSource(Dialler(verdict=verdict, allowed=allowed), pause_s=Seconds(0))


def at(origin: Origin) -> VersionSpec:
    return VersionSpec(name="v", source=f"{origin.url}/weights")


async def test_a_download_that_is_cut_goes_on_where_it_stopped(origin, scratch):
    version = at(origin)
    origin.cuts = [1000, 5000]
    assert await read(web(), version, scratch) == DATA
    assert [seen.range for seen in origin.seen] == [None, "bytes=1000-", "bytes=5000-"]
    assert origin.seen[1].if_range == origin.etag


async def test_a_later_fetch_goes_on_where_a_pinned_one_stopped(origin, scratch):
    version = at(origin)
    pinned = replace(version, sha256=SHA)
    (Path(scratch) / PART).write_bytes(DATA[:3000])
    assert await read(web(), pinned, scratch) == DATA
    assert origin.seen[0].range == "bytes=3000-"


async def test_a_later_fetch_of_what_is_not_pinned_begins_again(origin, scratch):
    version = at(origin)
    (Path(scratch) / PART).write_bytes(b"other" * 100)
    assert await read(web(), version, scratch) == DATA
    assert origin.seen[0].range is None


async def test_a_server_without_ranges_is_read_from_the_start(origin, scratch):
    version = at(origin)
    origin.ranges, origin.cuts = False, [1000]
    assert await read(web(), version, scratch) == DATA


async def test_a_file_that_changed_in_the_middle_is_read_from_the_start(origin, scratch):
    version = at(origin)
    origin.cuts = [1000]
    changed = DATA[::-1]

    def change(done: int, _: int | None) -> None:
        if done == 1000:
            origin.files["/weights"], origin.etag = changed, '"two"'

    got = bytearray()
    async with web().fetch(version, scratch=scratch, progress=change) as pieces:
        async for piece in pieces:
            got += piece
    assert bytes(got) == changed


async def test_what_was_left_and_is_wrong_is_dropped(origin, scratch):
    version = at(origin)
    pinned = replace(version, sha256=SHA)
    (Path(scratch) / PART).write_bytes(bytes(3000))
    with pytest.raises(UpstreamFailed, match="sha256"):
        await read(web(), pinned, scratch)
    assert await read(web(), pinned, scratch) == DATA


async def test_a_server_that_fails_for_a_while_is_asked_again(origin, scratch):
    version = at(origin)
    origin.statuses = [503, 429, 500]
    assert await read(web(), version, scratch) == DATA


async def test_a_server_that_goes_on_failing_is_given_up(origin, scratch):
    version = at(origin)
    origin.statuses = [503] * 20
    with pytest.raises(UpstreamFailed, match="cannot be fetched"):
        await read(web(), version, scratch)
    assert len(origin.seen) == 5


async def test_three_redirects_are_followed_and_a_fourth_is_not(origin, scratch):
    version = at(origin)
    origin.moved = {"/1": "/2", "/2": "/3", "/3": "/weights", "/0": "/1"}
    three = replace(version, source=f"{origin.url}/1")
    assert await read(web(), three, scratch) == DATA
    four = replace(version, source=f"{origin.url}/0")
    with pytest.raises(UpstreamFailed, match="redirects more than 3"):
        await read(web(), four, scratch)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "http://10.0.0.1/x", "https://[::ffff:10.0.0.1]/x"],
)
async def test_a_redirect_to_a_forbidden_address_is_not_followed(origin, scratch, target):
    version = at(origin)
    origin.moved = {"/weights": target}
    with pytest.raises(UpstreamFailed, match="may not be dialled"):
        await read(web(), version, scratch)


async def test_a_redirect_to_another_scheme_is_refused(origin, scratch):
    version = at(origin)
    origin.moved = {"/weights": "file:///etc/passwd"}
    with pytest.raises(InvalidInput):
        await read(web(), version, scratch)


async def test_loopback_is_refused_unless_it_was_opened(origin, scratch):
    version = at(origin)
    with pytest.raises(UpstreamFailed, match="may not be dialled"):
        await read(web(()), version, scratch)
    assert origin.seen == []


async def test_a_hubs_token_is_sent_to_the_hub_and_to_no_other_origin(origin, tmp_path, scratch):
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    source = HubSource(web(), endpoint=origin.url, revision="main", token_file=str(token))
    version = VersionSpec(name="v", source="hf:org/repo#sub/weights.gguf")
    path = "/org/repo/resolve/main/sub/weights.gguf"
    origin.moved[path] = f"http://localhost:{origin.port}/weights"
    assert await read(source, version, scratch) == DATA
    assert [seen.authorization for seen in origin.seen] == ["Bearer secret-token", None]


async def test_a_token_file_that_is_not_there_is_said_so(origin, tmp_path, scratch):
    missing = str(tmp_path / "none")
    source = HubSource(web(), endpoint=origin.url, revision="main", token_file=missing)
    version = VersionSpec(name="v", source="hf:org/repo#weights.gguf")
    with pytest.raises(InvalidInput, match="token file"):
        await read(source, version, scratch)
