"""Obtaining: what is started becomes a checked blob, and survives restarts, cancels and lies."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from littoral.domain.errors import InvalidInput, UnknownName, UpstreamFailed
from littoral.domain.model import FileSpec, VersionSpec, VersionStatus
from littoral.domain.units import Bytes
from littoral.jobs.obtain import Obtaining, World
from littoral.testing import gguf
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

SPEC = VersionSpec(
    name="v1", source="given:tiny", sha256=gguf.SHA256, size=Bytes(gguf.BYTES), chat_template="{{}}"
)
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Given:
    """A source of given bytes; waits at the gate where it is closed."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.fetched = 0
        self.open = True
        self.reached = anyio.Event()
        self.fault: BaseException | None = None

    @asynccontextmanager
    async def fetch(
        self, file: FileSpec, *, scratch: str, progress: Callable[[int, int | None], None]
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        del file
        self.fetched += 1
        kept = Path(scratch) / "kept"
        kept.write_bytes(b"some")
        progress(4, len(self.data))
        self.reached.set()
        if not self.open:
            await anyio.sleep_forever()
        if self.fault is not None:
            raise self.fault
        yield self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        for start in range(0, len(self.data), 100_000):
            yield self.data[start : start + 100_000]


class Desk:
    """An obtainer with everything it needs."""

    def __init__(self, tmp_path: Path, data: bytes) -> None:
        self.scratch = tmp_path / "scratch"
        self.source = Given(data)
        self.blobs = MemoryBlobs()
        self.state = MemoryState()
        self.sink = ListSink()
        self.restart()

    def restart(self) -> None:
        self.obtaining = Obtaining(
            World(
                state=self.state,
                blobs=self.blobs,
                source=self._source,
                scratch=str(self.scratch),
                sink=self.sink,
                clock=SettableClock(),
            )
        )

    def _source(self, scheme: str) -> Given:
        if scheme != "given":
            raise UnknownName(f"no source named {scheme!r}; known: given")
        return self.source

    @property
    def status(self) -> VersionStatus:
        (status,) = self.obtaining.statuses()
        return status

    @property
    def folder(self) -> Path:
        return self.scratch / "tiny" / "v1"

    async def until(self, done: Callable[[VersionStatus], bool]) -> VersionStatus:
        with anyio.fail_after(10):
            while not done(self.status):
                await anyio.lowlevel.checkpoint()
        return self.status

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.obtaining.run)
            yield
            group.cancel_scope.cancel()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> bytes:
    return gguf.write(tmp_path_factory.mktemp("weights") / "tiny.gguf").read_bytes()


@pytest.fixture
def desk(tmp_path, weights) -> Desk:
    return Desk(tmp_path, weights)


def ended(status: VersionStatus) -> bool:
    return status.phase in {"ready", "failed"}


async def test_what_is_started_becomes_a_checked_artefact(desk):
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        status = await desk.until(ended)
    assert (status.phase, status.error) == ("ready", None)
    assert status.artefact is not None
    assert status.artefact.digest == f"sha256:{gguf.SHA256}"
    assert status.artefact.size == status.done == status.total == gguf.BYTES
    assert status.artefact.chat_template == "{{}}"
    assert status.artefact.facts.context == gguf.CONTEXT
    assert desk.blobs.verify(status.artefact.digest)
    assert not desk.folder.exists()
    assert desk.sink.codes() == ["model.ready"]


async def test_a_version_that_is_present_is_left(desk):
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.until(ended)
        desk.obtaining.start("tiny", SPEC)
        assert desk.status.phase == "ready"
    assert desk.source.fetched == 1


async def test_another_source_under_the_same_name_is_fetched(desk):
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.until(ended)
        desk.obtaining.start("tiny", replace(SPEC, source="given:other"))
        assert desk.status.phase == "pending"
        await desk.until(ended)
    assert desk.source.fetched == 2


async def test_what_was_under_way_goes_on_after_a_restart(desk):
    desk.source.open = False
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.source.reached.wait()
    desk.source.open = True
    desk.restart()
    assert desk.status.phase == "pending"
    async with desk.running():
        assert (await desk.until(ended)).phase == "ready"


async def test_what_is_ready_is_known_after_a_restart(desk):
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        before = await desk.until(ended)
    desk.restart()
    assert desk.status == before


async def test_weights_that_are_gone_are_said_so(desk):
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        status = await desk.until(ended)
    assert status.artefact is not None
    desk.blobs.remove(status.artefact.digest)
    desk.restart()
    assert (desk.status.phase, desk.status.artefact) == ("failed", None)
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        assert (await desk.until(ended)).phase == "ready"


async def test_a_cancelled_version_keeps_what_was_fetched_and_does_not_go_on_by_itself(desk):
    desk.source.open = False
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.source.reached.wait()
        desk.obtaining.cancel("tiny", "v1")
    assert "cancelled" in (desk.status.error or "")
    assert (desk.folder / "kept").exists()
    desk.restart()
    assert desk.status.phase == "failed"
    desk.source.open = True
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        assert (await desk.until(ended)).phase == "ready"


async def test_a_version_cancelled_and_started_at_once_is_obtained(desk):
    desk.source.open = False
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.source.reached.wait()
        desk.source.open = True
        desk.obtaining.cancel("tiny", "v1")
        desk.obtaining.start("tiny", SPEC)
        assert (await desk.until(ended)).phase == "ready"


async def test_a_forgotten_version_leaves_nothing(desk):
    desk.source.open = False
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.source.reached.wait()
        desk.obtaining.forget("tiny", "v1")
    assert list(desk.obtaining.statuses()) == []
    assert desk.state.values("") == {}
    assert not desk.folder.exists()


async def test_progress_is_told_while_it_fetches(desk):
    desk.source.open = False
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        await desk.source.reached.wait()
        assert (desk.status.phase, desk.status.done) == ("fetching", 4)
        assert desk.status.total == gguf.BYTES


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"PK\x03\x04" + bytes(600), "zip"),
        (b"\x80\x04\x95" + bytes(600), "pickle"),
        (b"hello", "no weights"),
        (b"", "no weights"),
        (b"GGUF" + b"\xff" * 2000, "version"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 2000, "declares"),
    ],
)
async def test_what_is_no_sound_gguf_is_refused(desk, data, error):
    desk.source.data = data
    async with desk.running():
        desk.obtaining.start("tiny", VersionSpec(name="v1", source="given:x"))
        status = await desk.until(ended)
    assert status.phase == "failed"
    assert error in (status.error or "")
    assert desk.blobs.list() == []
    assert desk.sink.codes() == ["model.failed"]


async def test_another_digest_than_the_pinned_one_is_refused(desk):
    async with desk.running():
        desk.obtaining.start("tiny", replace(SPEC, sha256="0" * 64))
        status = await desk.until(ended)
    assert status.phase == "failed"
    assert desk.blobs.list() == []


async def test_the_first_file_of_a_version_without_a_digest_pins_it(desk, weights):
    free = VersionSpec(name="v1", source="given:tiny")
    async with desk.running():
        desk.obtaining.start("tiny", free)
        first = (await desk.until(ended)).artefact
    assert first is not None
    desk.blobs.remove(first.digest)
    desk.restart()
    desk.source.data = weights[:-1] + b"x"
    async with desk.running():
        desk.obtaining.start("tiny", free)
        assert (await desk.until(ended)).phase == "failed"
        desk.obtaining.forget("tiny", "v1")
        desk.obtaining.start("tiny", free)
        assert (await desk.until(ended)).phase == "ready"


async def test_a_version_that_does_not_fit_the_disk_is_not_fetched(desk):
    desk.blobs = MemoryBlobs(room=Bytes(gguf.BYTES * 2 - 1))
    desk.restart()
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        status = await desk.until(ended)
    assert "are needed on the disk" in (status.error or "")
    assert desk.source.fetched == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (UpstreamFailed("nobody answers"), "nobody answers"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (ValueError("secret detail"), "internal error (ValueError)"),
    ],
)
async def test_a_failure_is_said_and_ends_only_its_version(desk, fault, error):
    desk.source.fault = fault
    async with desk.running():
        desk.obtaining.start("tiny", SPEC)
        assert (await desk.until(ended)).error == error
        desk.source.fault = None
        desk.obtaining.start("tiny", SPEC)
        assert (await desk.until(lambda status: status.phase == "ready")).artefact


async def test_an_unknown_scheme_is_said_with_the_known_ones(desk):
    async with desk.running():
        desk.obtaining.start("tiny", VersionSpec(name="v1", source="ftp://x"))
        assert "known: given" in ((await desk.until(ended)).error or "")


async def test_a_version_name_that_is_a_path_is_refused(desk):
    with pytest.raises(InvalidInput):
        desk.obtaining.start("tiny", replace(SPEC, name="../../etc"))
