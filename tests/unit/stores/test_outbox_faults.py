"""The outbox on a disk that is full or errs, and where a failpoint ends its work."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import anyio
import anyio.lowlevel
import apsw
import pytest

from littoral.domain.errors import StorageFull, Unavailable
from littoral.domain.units import Bytes, Seconds
from littoral.stores import sqlite
from littoral.stores.outbox_file import Tuning
from littoral.testing.failpoints import Crash
from littoral.testing.faults import Faults
from littoral.testing.usage import is_stored, usage_record, usage_rows, usage_waiting

pytestmark = pytest.mark.anyio
SMALL = Tuning(ballast=Bytes(64 * 1024), checkpoint_frames=12)


def names(numbers: Sequence[int]) -> list[str]:
    return [f"rq_{number}" for number in numbers]


# Failpoints and shared commits


async def test_a_crash_before_the_transaction_writes_nothing(bench):
    async with bench.open() as outbox:
        bench.failpoints.arm("outbox.begin")
        with pytest.raises(Crash):
            await outbox.append([usage_record(1)])
        assert await bench.requests(outbox) == []
        assert await outbox.append([usage_record(2)]) == 1


async def test_a_crash_after_the_commit_has_written_all(bench):
    async with bench.open() as outbox:
        bench.failpoints.arm("outbox.committed")
        with pytest.raises(Crash):
            await outbox.append([usage_record(1)])
        assert await bench.requests(outbox) == ["rq_1"]
        assert await outbox.append([usage_record(1)]) == 1


async def test_a_crash_between_deletes_leaves_whole_chunks(bench):
    async with bench.open(Tuning()) as outbox:
        await outbox.append([usage_record(number) for number in range(1, 1301)])
        bench.failpoints.arm("rows.deleted", after=1)
        with pytest.raises(Crash):
            await is_stored(outbox, 1300, safe=True)
    async with bench.open() as outbox:
        assert [row.seq for row in await usage_rows(outbox, after=1000)] == list(range(1001, 1301))
        assert (await outbox.read("ledger", 0, 1)).rows[0].hole == 1


async def test_those_who_wait_at_the_same_time_share_a_commit(bench, faults: Faults):
    async with bench.open(Tuning()) as outbox:
        await outbox.append([usage_record(0)])
        faults.syncs.clear()
        before = bench.failpoints.passes["outbox.committed"]
        async with anyio.create_task_group() as group:
            for number in range(1, 201):
                group.start_soon(outbox.append, [usage_record(number)])
        commits = bench.failpoints.passes["outbox.committed"] - before
        assert await usage_waiting(outbox) == 201
    assert commits <= 20
    assert sum(name.endswith("-wal") for name in faults.syncs) >= commits


async def test_a_group_ends_at_its_limit(bench):
    async with bench.open(Tuning(group=10)) as outbox:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(outbox.append, [usage_record(number)])
        assert bench.failpoints.passes["outbox.committed"] >= 10


async def test_after_the_end_a_call_is_refused(bench):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
    with pytest.raises(Unavailable, match="closed"):
        await outbox.append([usage_record(2)])


async def test_the_log_stays_small_because_it_is_checkpointed(bench):
    async with bench.open() as outbox:
        for number in range(300):
            await outbox.append([usage_record(number, model="m" * 500)])
        log = bench.beside("-wal").stat().st_size
    assert log < 40 * 4096


# Full disks


async def test_a_full_disk_refuses_that_append_and_nothing_is_half_written(bench, faults: Faults):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
        faults.fail["write", "-wal"] = apsw.FullError
        with pytest.raises(StorageFull, match="nothing was written"):
            await outbox.append([usage_record(2), usage_record(3)])
        assert await bench.requests(outbox) == ["rq_1"]
        faults.fail.clear()
        assert await outbox.append([usage_record(4)]) == 2
    assert bench.sink.events == []


async def test_a_full_disk_that_ends_the_transaction_is_said_as_such(bench, monkeypatch):
    def full(connection: apsw.Connection, *_args: object) -> None:
        connection.execute("rollback")  # as SQLite may
        raise apsw.FullError("injected")

    async with bench.open() as outbox:
        monkeypatch.setattr(sqlite, "run_many", full)
        with pytest.raises(StorageFull):
            await outbox.append([usage_record(1)])
        monkeypatch.undo()
        assert await outbox.append([usage_record(1)]) == 1


async def test_of_a_group_on_a_full_disk_each_append_is_tried_alone(bench, faults: Faults):
    async with bench.open(Tuning(ballast=Bytes(4096))) as outbox:
        results: list[str] = []

        async def append(number: int) -> None:
            try:
                await outbox.append([usage_record(number)])
            except StorageFull:
                results.append("full")

        faults.fail["write", "-wal"] = apsw.FullError
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(append, number)
        assert results == ["full"] * 5
        assert await bench.requests(outbox) == []


async def test_without_its_ballast_appends_wait_for_space(bench, monkeypatch):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
        bench.beside(".ballast").unlink()

        def no_room(*_args: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", no_room)
        with pytest.raises(StorageFull):
            await outbox.append([usage_record(2)])
        await is_stored(outbox, 1, safe=True)
        monkeypatch.undo()
        assert await outbox.append([usage_record(3)]) == 2
        assert await bench.requests(outbox) == ["rq_3"]


async def test_a_delete_on_a_full_disk_is_tried_again_with_the_ballast_freed(bench, faults: Faults):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1), usage_record(2)])
        ballast = bench.beside(".ballast")

        def until_freed(call: str, path: str) -> None:
            if call == "write" and path.endswith("-wal") and ballast.exists():
                raise apsw.FullError("injected")

        faults.check = until_freed
        await is_stored(outbox, 1, safe=True)
        assert await bench.requests(outbox) == ["rq_2"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    command = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield place
    subprocess.run(["/usr/bin/umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("tuning", [Tuning(), SMALL], ids=["usual", "small ballast"])
async def test_a_really_full_disk_keeps_what_was_acknowledged_and_recovers(
    small_disk: Path, bench_on, tuning: Tuning
):
    bench = bench_on(small_disk / "outbox.db")
    acked: list[int] = []
    refused = 0
    async with bench.open(tuning) as outbox:
        for number in range(3000):
            try:
                await outbox.append([usage_record(number, model="m" * 1000)])
                acked.append(number)
            except StorageFull:
                refused += 1
            if refused == 20:
                break
        assert refused == 20
        assert len(acked) > 200
        assert await bench.requests(outbox) == names(acked)
        await is_stored(outbox, len(acked) - 10, safe=True)
        assert await bench.requests(outbox) == names(acked[-10:])
        assert await outbox.append([usage_record(5000)]) == len(acked) + 1
    async with bench.open(Tuning()) as outbox:
        assert await bench.requests(outbox) == [*names(acked[-10:]), "rq_5000"]
    assert bench.sink.events == []


# Errors of the device


async def test_after_a_failed_sync_the_file_is_opened_anew_and_the_sync_is_not_repeated(
    bench, faults: Faults
):
    async with bench.open() as outbox:
        name = outbox.name
        await outbox.append([usage_record(1)])
        faults.fail["sync", "-wal"] = apsw.IOError
        faults.syncs.clear()
        with pytest.raises(Unavailable):
            await outbox.append([usage_record(2)])
        faults.fail.clear()
        faults.syncs.clear()
        # Whatever the failed sync left in the log is written to the database anew, and synced.
        assert await bench.requests(outbox) == ["rq_1", "rq_2"]
        assert str(bench.path) in faults.syncs
        assert await outbox.append([usage_record(2)]) == 2
        assert await bench.requests(outbox) == ["rq_1", "rq_2"]
        assert outbox.name == name
    assert bench.sink.codes() == ["outbox.io_error"]


async def test_while_the_device_errs_calls_fail_and_after_it_they_go_on(bench, faults: Faults):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
        for call, suffix in product(("read", "write", "sync"), (".db", "-wal")):
            faults.fail[call, suffix] = apsw.IOError
        for _ in range(3):
            with pytest.raises(Unavailable):
                await outbox.append([usage_record(2)])
        faults.fail.clear()
        assert await outbox.append([usage_record(3)]) >= 2
        assert "rq_1" in await bench.requests(outbox)


async def test_a_device_that_errs_while_the_disk_is_full_ends_no_more_than_the_call(
    bench, faults: Faults, monkeypatch
):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
        bench.beside(".ballast").unlink()

        def no_room(*_args: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", no_room)
        for call, suffix in product(("read", "write", "sync"), (".db", "-wal")):
            faults.fail[call, suffix] = apsw.IOError
        for _ in range(3):
            with pytest.raises((StorageFull, Unavailable)):
                await outbox.append([usage_record(2)])
            with pytest.raises(Unavailable):
                await is_stored(outbox, 1, safe=True)
        faults.fail.clear()
        monkeypatch.undo()
        await outbox.append([usage_record(3)])
        assert "rq_3" in await bench.requests(outbox)


async def test_acknowledged_rows_that_are_gone_are_told_and_a_new_name_begins(
    bench, faults: Faults
):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1), usage_record(2)])
        await is_stored(outbox, 0)
    old = bench.path.read_bytes()
    async with bench.open() as outbox:
        name = outbox.name
        await outbox.append([usage_record(3)])
        bench.path.with_name("outbox.db-wal").unlink()
        bench.path.unlink()
        bench.path.write_bytes(old)
        faults.fail["sync", "-wal"] = apsw.IOError
        with pytest.raises(Unavailable):
            await outbox.append([usage_record(4)])
        faults.fail.clear()
        assert await outbox.append([usage_record(5)]) == 3
        assert outbox.name != name
        assert await bench.requests(outbox) == names([1, 2, 5])
    assert bench.sink.codes() == ["outbox.io_error", "outbox.rows_lost"]


async def test_rows_that_come_within_the_window_share_one_commit(bench):
    async with bench.open(Tuning(window_s=Seconds(0.5))) as outbox:
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(outbox.append, [usage_record(number)])
                await anyio.lowlevel.checkpoint()
        assert bench.failpoints.passes["outbox.committed"] == 1
        assert await usage_waiting(outbox) == 5
