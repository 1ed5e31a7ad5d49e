"""The outbox on a disk that fails: full, erring, damaged, restored, newer, shared."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import apsw
import pytest

from littoral.domain.errors import Busy, NewerData, StorageFull, Unavailable
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.units import Bytes, Micros, Tokens
from littoral.domain.usage import UsageRecord
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.sink import ListSink

pytestmark = pytest.mark.anyio
SMALL = Tuning(ballast=Bytes(64 * 1024), checkpoint_frames=12)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Faults:
    """What the next calls to the disk do: raise an error for files whose name ends so."""

    def __init__(self) -> None:
        self.write: dict[str, type[Exception]] = {}
        self.sync: dict[str, type[Exception]] = {}
        self.read: dict[str, type[Exception]] = {}
        self.syncs: list[str] = []

    def check(self, table: dict[str, type[Exception]], name: str) -> None:
        for suffix, error in table.items():
            if name.endswith(suffix):
                raise error("injected")


class FaultyFile(apsw.VFSFile):
    def __init__(self, faults: Faults, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self.faults = faults
        self.label = name.filename() if isinstance(name, apsw.URIFilename) else name
        super().__init__("unix", name, flags)

    def excepthook(self, *_args: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self.faults.check(self.faults.read, self.label)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.faults.check(self.faults.write, self.label)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.faults.syncs.append(self.label)
        self.faults.check(self.faults.sync, self.label)
        super().xSync(flags)


class FaultyDisk(apsw.VFS):
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        super().__init__("faulty", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename, flags: list[int]) -> FaultyFile:  # noqa: N802
        return FaultyFile(self.faults, name, flags)


@pytest.fixture
def faults() -> Iterator[Faults]:
    faults = Faults()
    disk = FaultyDisk(faults)
    yield faults
    disk.unregister()


class Bench:
    """Opens one outbox file again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = SettableClock()
        self.entropy = SeededEntropy()
        self.failpoints = ArmedFailpoints()
        self.sink = ListSink()

    def files(self) -> list[Path]:
        return list(self.path.parent.iterdir())

    def beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def open(self, tuning: Tuning = SMALL) -> AbstractAsyncContextManager[SqliteOutbox]:
        return SqliteOutbox.open(
            str(self.path),
            clock=self.clock,
            entropy=self.entropy,
            failpoints=self.failpoints,
            sink=self.sink,
            tuning=tuning,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "outbox.db")


def record(number: int, size: int = 1) -> UsageRecord:
    return UsageRecord(
        request=RequestId(f"rq_{number}"),
        attempt=0,
        project=ProjectId("default"),
        key=KeyId("k"),
        model="m" * size,
        deployment=DeploymentName("d"),
        endpoint=EndpointId("ep"),
        status="ok",
        streamed=True,
        estimated=False,
        tokens_in=Tokens(1),
        tokens_cached=Tokens(0),
        tokens_out=Tokens(number),
        at_us=Micros(3),
        first_us=4,
        total_us=5,
        predicted_us=6,
        predicted_p90_us=7,
        cost=0.5,
    )


async def requests(outbox: SqliteOutbox) -> list[str]:
    return [row.record.request for row in await outbox.read(0, 100_000)]


def names(numbers: Sequence[int]) -> list[str]:
    return [f"rq_{number}" for number in numbers]


# Failpoints and shared commits


async def test_a_crash_before_the_transaction_writes_nothing(bench: Bench):
    async with bench.open() as outbox:
        bench.failpoints.arm("outbox.begin")
        with pytest.raises(Crash):
            await outbox.append([record(1)])
        assert await requests(outbox) == []
        assert await outbox.append([record(2)]) == 1


async def test_a_crash_after_the_commit_has_written_all(bench: Bench):
    async with bench.open() as outbox:
        bench.failpoints.arm("outbox.committed")
        with pytest.raises(Crash):
            await outbox.append([record(1)])
        assert await requests(outbox) == ["rq_1"]
        assert await outbox.append([record(1)]) == 1


async def test_a_crash_between_deletes_leaves_whole_chunks(bench: Bench):
    async with bench.open(Tuning()) as outbox:
        await outbox.append([record(number) for number in range(1, 1301)])
        bench.failpoints.arm("rows.deleted", after=1)
        with pytest.raises(Crash):
            await outbox.stored(1300)
    async with bench.open() as outbox:
        assert (await outbox.read(0, 1))[0].seq == 1001
        assert await outbox.depth() == 300


async def test_those_who_wait_at_the_same_time_share_a_commit(bench: Bench, faults: Faults):
    async with bench.open(Tuning()) as outbox:
        await outbox.append([record(0)])
        faults.syncs.clear()
        before = bench.failpoints.passes["outbox.committed"]
        async with anyio.create_task_group() as group:
            for number in range(1, 201):
                group.start_soon(outbox.append, [record(number)])
        commits = bench.failpoints.passes["outbox.committed"] - before
        assert await outbox.depth() == 201
    assert commits <= 20
    assert sum(name.endswith("-wal") for name in faults.syncs) >= commits


async def test_a_group_ends_at_its_limit(bench: Bench):
    async with bench.open(Tuning(group=10)) as outbox:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(outbox.append, [record(number)])
        assert bench.failpoints.passes["outbox.committed"] >= 10


async def test_after_the_end_a_call_is_refused(bench: Bench):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
    with pytest.raises(Unavailable, match="closed"):
        await outbox.append([record(2)])


async def test_the_log_stays_small_because_it_is_checkpointed(bench: Bench):
    async with bench.open() as outbox:
        for number in range(300):
            await outbox.append([record(number, size=500)])
        log = bench.beside("-wal").stat().st_size
    assert log < 40 * 4096


# Full disks


async def test_a_full_disk_refuses_that_append_and_nothing_is_half_written(
    bench: Bench, faults: Faults
):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
        faults.write["-wal"] = apsw.FullError
        with pytest.raises(StorageFull, match="nothing was written"):
            await outbox.append([record(2), record(3)])
        assert await requests(outbox) == ["rq_1"]
        faults.write.clear()
        assert await outbox.append([record(4)]) == 2
    assert bench.sink.events == []


async def test_of_a_group_on_a_full_disk_each_append_is_tried_alone(bench: Bench, faults: Faults):
    async with bench.open(Tuning(ballast=Bytes(4096))) as outbox:
        results: list[str] = []

        async def append(number: int) -> None:
            try:
                await outbox.append([record(number)])
            except StorageFull:
                results.append("full")

        faults.write["-wal"] = apsw.FullError
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(append, number)
        assert results == ["full"] * 5
        assert await requests(outbox) == []


async def test_without_its_ballast_appends_wait_for_space(bench: Bench, monkeypatch):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
        bench.beside(".ballast").unlink()

        def no_room(*_args: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(StorageFull):
            await outbox.append([record(2)])
        await outbox.stored(1)
        monkeypatch.undo()
        assert await outbox.append([record(3)]) == 2
        assert await requests(outbox) == ["rq_3"]


async def test_a_delete_on_a_full_disk_is_tried_again_with_the_ballast_freed(
    bench: Bench, faults: Faults
):
    async with bench.open() as outbox:
        await outbox.append([record(1), record(2)])
        faults.write["-wal"] = apsw.FullError
        ballast = bench.beside(".ballast")

        def freed(table: dict[str, type[Exception]], name: str) -> None:
            if table is faults.write and name.endswith("-wal") and ballast.exists() and table:
                table.clear()
                raise apsw.FullError("injected")

        faults.check = freed
        await outbox.stored(1)
        assert await requests(outbox) == ["rq_2"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["/usr/bin/umount", "--lazy", str(place)], check=True)


async def test_a_really_full_disk_keeps_what_was_acknowledged_and_recovers(small_disk: Path):
    bench = Bench(small_disk / "outbox.db")
    acked: list[int] = []
    refused = 0
    async with bench.open(Tuning()) as outbox:
        for number in range(3000):
            try:
                await outbox.append([record(number, size=1000)])
                acked.append(number)
            except StorageFull:
                refused += 1
            if refused == 20:
                break
        assert refused == 20
        assert len(acked) > 200
        assert await requests(outbox) == names(acked)
        await outbox.stored(len(acked) - 10)
        assert await requests(outbox) == names(acked[-10:])
        assert await outbox.append([record(5000)]) == len(acked) + 1
    async with bench.open(Tuning()) as outbox:
        assert await requests(outbox) == [*names(acked[-10:]), "rq_5000"]
    assert bench.sink.events == []


# Errors of the device


async def test_after_a_failed_sync_the_file_is_opened_anew_and_the_sync_is_not_repeated(
    bench: Bench, faults: Faults
):
    async with bench.open() as outbox:
        name = outbox.name
        await outbox.append([record(1)])
        faults.sync["-wal"] = apsw.IOError
        faults.syncs.clear()
        with pytest.raises(Unavailable):
            await outbox.append([record(2)])
        faults.sync.clear()
        assert await outbox.append([record(2)]) == 2
        assert await requests(outbox) == ["rq_1", "rq_2"]
        assert outbox.name == name
    assert bench.sink.events == []


async def test_while_the_device_errs_calls_fail_and_after_it_they_go_on(
    bench: Bench, faults: Faults
):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
        faults.write[".db"] = faults.write["-wal"] = apsw.IOError
        faults.sync["-wal"] = faults.sync[".db"] = apsw.IOError
        faults.read[".db"] = apsw.IOError
        for _ in range(3):
            with pytest.raises(Unavailable):
                await outbox.append([record(2)])
        for table in (faults.read, faults.write, faults.sync):
            table.clear()
        assert await outbox.append([record(3)]) >= 2
        assert "rq_1" in await requests(outbox)


async def test_acknowledged_rows_that_are_gone_are_told_and_a_new_name_begins(
    bench: Bench, faults: Faults
):
    async with bench.open() as outbox:
        await outbox.append([record(1), record(2)])
        await outbox.stored(0)
    old = bench.path.read_bytes()
    async with bench.open() as outbox:
        name = outbox.name
        await outbox.append([record(3)])
        bench.path.with_name("outbox.db-wal").unlink()
        bench.path.unlink()
        bench.path.write_bytes(old)
        faults.sync["-wal"] = apsw.IOError
        with pytest.raises(Unavailable):
            await outbox.append([record(4)])
        faults.sync.clear()
        assert await outbox.append([record(5)]) == 3
        assert outbox.name != name
        assert await requests(outbox) == names([1, 2, 5])
    assert bench.sink.codes() == ["outbox.rows_lost"]


# Damage


async def filled(bench: Bench, count: int) -> str:
    async with bench.open(Tuning()) as outbox:
        await outbox.append([record(number, size=300) for number in range(1, count + 1)])
        return outbox.name


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


async def test_a_damaged_page_costs_its_own_rows_and_no_others(bench: Bench):
    name = await filled(bench, 500)
    page = bench.path.read_bytes().index(b"\xa6rq_250") // 4096
    overwrite(bench.path, page * 4096, b"\xff" * 4096)
    async with bench.open() as outbox:
        assert outbox.name != name
        kept = await requests(outbox)
        assert 450 < len(kept) < 500
        assert "rq_250" not in kept
        assert [row.seq for row in await outbox.read(0, 1000)] == list(range(1, len(kept) + 1))
        await outbox.append([record(1000)])
    assert bench.sink.codes() == ["outbox.damaged"]
    assert f"{len(kept)} records were readable" in bench.sink.events[0].message
    assert len(list(bench.path.parent.glob("outbox.db.damaged-*"))) == 1
    assert not list(bench.path.parent.glob("*.new*"))


async def test_a_file_that_is_no_database_is_set_aside(bench: Bench):
    bench.path.write_bytes(b"no database at all" * 1000)
    async with bench.open() as outbox:
        assert await requests(outbox) == []
        assert await outbox.append([record(1)]) == 1
    assert bench.sink.codes() == ["outbox.damaged"]


async def test_damage_found_while_running_is_salvaged_too(bench: Bench):
    await filled(bench, 8000)
    async with bench.open() as outbox:
        # Larger than the page cache, which the check on opening left full of the last pages.
        page = bench.path.read_bytes().index(b"\xa7rq_1000") // 4096
        overwrite(bench.path, page * 4096, b"\xff" * 4096)
        with pytest.raises(Unavailable, match="reopened"):
            await outbox.read(0, 10_000)
        kept = await requests(outbox)
        assert 7950 < len(kept) < 8000
    assert bench.sink.codes() == ["outbox.damaged"]


@pytest.mark.parametrize("stale_log", [0, 1])
async def test_a_replacement_cut_short_is_completed(bench: Bench, tmp_path: Path, stale_log: int):
    name = await filled(bench, 3)
    bench.path.rename(tmp_path / "outbox.db.new")
    if stale_log:
        bench.beside("-wal").write_bytes(b"log of the damaged file")
    async with bench.open() as outbox:
        assert outbox.name == name
        assert await requests(outbox) == names([1, 2, 3])
    assert sum("damaged" in path.name for path in bench.files()) == stale_log


async def test_a_replacement_that_was_not_finished_is_dropped(bench: Bench, tmp_path: Path):
    await filled(bench, 3)
    (tmp_path / "outbox.db.new").write_bytes(b"half a file")
    async with bench.open() as outbox:
        assert await requests(outbox) == names([1, 2, 3])
    assert not (tmp_path / "outbox.db.new").exists()


async def test_a_record_that_cannot_be_decoded_is_left_out_under_a_new_name(bench: Bench):
    name = await filled(bench, 5)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update outbox set body = x'c1' where seq = 3")
    connection.close()
    async with bench.open() as outbox:
        assert await requests(outbox) == []
        assert outbox.name != name
        assert await requests(outbox) == names([1, 2, 4, 5])
        assert [row.seq for row in await outbox.read(0, 10)] == [1, 2, 3, 4]
    assert bench.sink.codes() == ["outbox.damaged"]


# Other versions, other processes


async def test_a_file_of_a_newer_version_is_refused_with_both_numbers(bench: Bench):
    await filled(bench, 1)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update meta set value = 7 where name = 'schema'")
    connection.close()
    with pytest.raises(NewerData, match=r"schema 7.* up to 1"):
        async with bench.open():
            pass


async def test_two_of_one_file_are_refused(bench: Bench):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
        with pytest.raises(Busy, match="in use"):
            async with bench.open():
                pass
        code = (
            "import sys, anyio\n"
            "from littoral.stores.sqlite import hold\n"
            "from littoral.domain.errors import Busy\n"
            "try: hold(sys.argv[1])\n"
            "except Busy: print('busy')"
        )
        other = await anyio.run_process([sys.executable, "-c", code, str(bench.path)])
        assert other.stdout == b"busy\n"
    async with bench.open():
        pass


async def test_its_files_are_private(bench: Bench):
    async with bench.open() as outbox:
        await outbox.append([record(1)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in bench.path.parent.iterdir()}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert "outbox.db-wal" in modes
