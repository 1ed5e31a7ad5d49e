"""The outbox on files that are damaged, half replaced, newer, or held by somebody else."""

import sys
from collections.abc import Sequence
from pathlib import Path

import anyio
import apsw
import pytest

from littoral.domain.errors import Busy, NewerData, Unavailable
from littoral.domain.limits import nanos
from littoral.testing.usage import usage_record

pytestmark = pytest.mark.anyio


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
        assert [row.seq for row in await outbox.read(0, 1000)] == list(range(1, len(kept) + 1))
        spent = {each.limit: each.amount for each in await outbox.spent()}
        assert spent[f"project:{one.project}"] == 500 * nanos(one.cost)
        await outbox.append([usage_record(1000)])
    assert bench.sink.codes() == ["outbox.damaged"]
    assert f"{len(kept)} records were readable" in bench.sink.events[0].message
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
            await outbox.read(0, 10_000)
        kept = await bench.requests(outbox)
        assert 7950 < len(kept) < 8000
    assert bench.sink.codes() == ["outbox.damaged"]


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


async def test_a_record_that_cannot_be_decoded_is_left_out_under_a_new_name(bench):
    name = await bench.fill(5)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update outbox set body = x'c1' where seq = 3")
    connection.close()
    async with bench.open() as outbox:
        assert await bench.requests(outbox) == []
        assert outbox.name != name
        assert await bench.requests(outbox) == names([1, 2, 4, 5])
        assert [row.seq for row in await outbox.read(0, 10)] == [1, 2, 3, 4]
    assert bench.sink.codes() == ["outbox.damaged"]


# Other versions, other processes


async def test_a_file_of_a_newer_version_is_refused_with_both_numbers(bench):
    await bench.fill(1)
    connection = apsw.Connection(str(bench.path))
    connection.execute("update meta set value = 7 where name = 'schema'")
    connection.close()
    with pytest.raises(NewerData, match=r"schema 7.* up to 2"):
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
