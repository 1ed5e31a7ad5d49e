"""The outbox on files that are damaged, half replaced, newer, or held by somebody else."""

import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import apsw
import pytest

from littoral.domain.errors import Busy, NewerData, Unavailable
from littoral.domain.ids import NodeId
from littoral.domain.limits import nanos
from littoral.domain.outbox import Mark
from littoral.domain.usage import UsageRecord
from littoral.stores import body
from littoral.stores.outbox_file import STEPS
from littoral.testing.ledger import MemoryLedger
from littoral.testing.usage import usage_record, usage_rows

pytestmark = pytest.mark.anyio
NODE = NodeId("nd_1")


def names(numbers: Sequence[int]) -> list[str]:
    return [f"rq_{number}" for number in numbers]


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


async def test_a_damaged_page_costs_its_own_rows_and_no_others(bench):
    one, name = usage_record(1), await bench.fill(500)
    page = bench.path.read_bytes().index(b"\xa6rq_250") // 4096
    overwrite(bench.path, page * 4096, b"\xff" * 4096)
    async with bench.open() as outbox:
        assert outbox.name != name
        kept = await bench.requests(outbox)
        assert 450 < len(kept) < 500
        assert "rq_250" not in kept
        assert [row.seq for row in await usage_rows(outbox)] == list(range(1, len(kept) + 1))
        spent = {each.limit: each.amount for each in await outbox.spent()}
        assert spent[f"project:{one.project}"] == 500 * nanos(one.cost)
        await outbox.append([usage_record(1000)])
    assert bench.sink.codes() == ["outbox.damaged"]
    assert f"{len(kept)} rows were readable" in bench.sink.events[0].message
    assert len(list(bench.path.parent.glob("outbox.db.damaged-*"))) == 1
    assert not list(bench.path.parent.glob("*.new*"))


async def test_a_file_that_is_no_database_is_set_aside(bench):
    bench.path.write_bytes(b"no database at all" * 1000)
    async with bench.open() as outbox:
        assert await bench.requests(outbox) == []
        assert await outbox.append([usage_record(1)]) == 1
    assert bench.sink.codes() == ["outbox.damaged"]


async def test_damage_found_while_running_is_salvaged_too(bench):
    await bench.fill(8000)
    async with bench.open() as outbox:
        # Larger than the page cache, which the check on opening left full of the last pages.
        page = bench.path.read_bytes().index(b"\xa7rq_1000") // 4096
        overwrite(bench.path, page * 4096, b"\xff" * 4096)
        with pytest.raises(Unavailable, match="reopened"):
            await usage_rows(outbox)
        kept = await bench.requests(outbox)
        assert 7950 < len(kept) < 8000
    assert bench.sink.codes() == ["outbox.damaged", "outbox.io_error"]


@pytest.mark.parametrize("stale_log", [0, 1])
async def test_a_replacement_cut_short_is_completed(bench, tmp_path: Path, stale_log: int):
    name = await bench.fill(3)
    bench.path.rename(tmp_path / "outbox.db.new")
    if stale_log:
        bench.beside("-wal").write_bytes(b"log of the damaged file")
    async with bench.open() as outbox:
        assert outbox.name == name
        assert await bench.requests(outbox) == names([1, 2, 3])
    assert sum("damaged" in path.name for path in bench.files()) == stale_log


async def test_a_replacement_that_was_not_finished_is_dropped(bench, tmp_path: Path):
    await bench.fill(3)
    (tmp_path / "outbox.db.new").write_bytes(b"half a file")
    async with bench.open() as outbox:
        assert await bench.requests(outbox) == names([1, 2, 3])
    assert not (tmp_path / "outbox.db.new").exists()


@pytest.mark.parametrize(
    "column", ["body = x'c1'", "body = cast(body || x'00' as blob)", "at_us = 7"]
)
async def test_a_row_that_was_changed_on_the_disk_is_told_as_damaged_and_no_other(bench, column):
    name = await bench.fill(5)
    connection = apsw.Connection(str(bench.path))
    connection.execute(f"update outbox set {column} where key = 3")  # noqa: S608  our own words
    connection.close()
    async with bench.open() as outbox:
        for _ in range(2):
            rows = await usage_rows(outbox)
            assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
            assert [row.damaged is None for row in rows] == [True, True, False, True, True]
        assert outbox.name == name
        ledger = MemoryLedger()
        done = ledger.apply(NODE, name, await outbox.read("ledger", 0, 10))
        assert (done.mark.seq, done.damaged) == (5, 1)


async def test_damaged_rows_stay_so_under_a_new_name(bench):
    await bench.fill(4)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update outbox set body = x'00' where key = 2")
    connection.close()
    async with bench.open() as outbox:
        await outbox.stored("ledger", Mark(seq=9))
        rows = await usage_rows(outbox)
        assert [row.damaged is None for row in rows] == [True, False, True, True]
    assert bench.sink.codes() == ["outbox.forked"]


async def test_rows_that_are_missing_in_between_are_told_and_a_new_name_begins(bench):
    name = await bench.fill(5)
    connection = apsw.Connection(str(bench.path))
    connection.execute("delete from outbox where key = 3")
    connection.close()
    async with bench.open() as outbox:
        assert (await outbox.read("ledger", 0, 10)).rows == ()
        assert outbox.name != name
        assert await bench.requests(outbox) == names([1, 2, 4, 5])
    assert bench.sink.codes() == ["outbox.rows_missing"]


# Other versions, other processes


def old_file(path: Path, *, count: int = 4) -> list[UsageRecord]:
    """An outbox as it was written before there were lanes; 1 and 2 are stored."""
    records = [usage_record(number, model="m" * 300) for number in range(3, 3 + count)]
    connection = apsw.Connection(str(path))
    for statement in [sql for step in STEPS[:2] for sql in step]:
        connection.execute(statement)
    connection.execute("insert into meta values('schema', 2), ('name', 'ob_old')")
    connection.execute("update meta set value = 2 where name = 'stored'")
    for seq, each in enumerate(records, 3):
        row = (seq, each.request, each.attempt, body.pack(each))
        connection.execute("insert into outbox values(?, ?, ?, ?)", row)
    connection.execute("insert into spent values('key:k1', 7, 99)")
    connection.close()
    return records


async def test_a_file_from_before_there_were_lanes_goes_on_where_it_was(bench):
    records = old_file(bench.path)
    for last in (7, 8):
        async with bench.open() as outbox:
            assert outbox.name == "ob_old"
            batch = await outbox.read("ledger", 2, 10)
            assert [(row.seq, row.usage) for row in batch.rows[:4]] == list(enumerate(records, 3))
            assert batch.prev_mac == b""
            assert [each.amount for each in await outbox.spent() if each.hour == 0] == [99]
            assert await outbox.append([records[0], usage_record(100 + last)]) == last
    assert bench.sink.events == []


async def test_a_record_of_the_old_file_that_cannot_be_read_keeps_its_number(bench):
    old_file(bench.path)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update outbox set body = x'c1' where seq = 4")
    connection.close()
    async with bench.open() as outbox:
        rows = await usage_rows(outbox, after=2)
        assert [(row.seq, row.damaged is None) for row in rows] == [
            (3, True), (4, False), (5, True), (6, True)
        ]  # fmt: skip


async def test_an_old_file_that_is_damaged_is_salvaged(bench):
    old_file(bench.path, count=500)
    page = bench.path.read_bytes().index(b"\xa6rq_250") // 4096
    overwrite(bench.path, page * 4096, b"\xff" * 4096)
    async with bench.open() as outbox:
        assert 450 < len(await bench.requests(outbox)) < 500
        assert outbox.name != "ob_old"
    assert bench.sink.codes() == ["outbox.damaged"]


async def test_a_file_of_a_newer_version_is_refused_with_both_numbers(bench):
    await bench.fill(1)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update meta set value = 7 where name in ('schema', 'least')")
    connection.close()
    with pytest.raises(NewerData, match=r"schema 7.* up to 3"):
        async with bench.open():
            pass


async def test_two_of_one_file_are_refused(bench):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
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


async def test_its_files_are_private(bench):
    async with bench.open() as outbox:
        await outbox.append([usage_record(1)])
        modes = {path.name: path.stat().st_mode & 0o777 for path in bench.path.parent.iterdir()}
    assert {name: mode for name, mode in modes.items() if mode & 0o077} == {}
    assert "outbox.db-wal" in modes
