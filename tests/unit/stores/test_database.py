"""Control's files: many threads, damage, newer versions, failing disks."""

import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from littoral.domain.errors import Busy, Damaged, NewerData, StorageFull, Unavailable
from littoral.domain.ids import NodeId
from littoral.domain.project import ProjectSpec
from littoral.domain.resource import Metadata, Resource
from littoral.stores.database import CHECKPOINT_FRAMES, Database
from littoral.stores.ledger import SqliteLedger
from littoral.stores.schema import CONTROL_STEPS
from littoral.stores.sqlite import run
from littoral.stores.state import SqliteState
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.faults import Faults, faulty_disk
from littoral.testing.usage import usage_batch


@pytest.fixture
def faults() -> Iterator[Faults]:
    with faulty_disk() as faults:
        yield faults


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "control.db")


def opened(path: str, failpoints: ArmedFailpoints | None = None):
    return SqliteState.open(path, failpoints=failpoints or ArmedFailpoints())


def project(name: str) -> Resource:
    return Resource(kind="Project", metadata=Metadata(name=name), spec=ProjectSpec())


def test_writers_on_many_threads_lose_nothing(path: str):
    with opened(path) as state:
        before = state.revision()

        def work(task: int) -> None:
            for step in range(20):
                state.put(project("shared"))
                state.put_value(f"{task}/{step}", b"x")
                assert state.value(f"{task}/{step}") == b"x"

        threads = [threading.Thread(target=work, args=(task,)) for task in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        shared = state.get("Project", "shared")
        assert shared is not None
        assert shared.version == 160
        assert len(state.values("")) == 160
        assert state.revision() - before == 320


def test_a_write_whose_process_dies_after_the_commit_stands(path: str):
    failpoints = ArmedFailpoints()
    with opened(path, failpoints) as state:
        failpoints.arm("state.committed")
        with pytest.raises(Crash):
            state.put(project("a"))
    with opened(path) as state:
        assert state.get("Project", "a") is not None


def test_applied_rows_stand_when_the_process_dies_before_the_answer(tmp_path: Path):
    failpoints = ArmedFailpoints()
    failpoints.arm("records.applied")
    place = str(tmp_path / "ledger.db")
    with SqliteLedger.open(place, failpoints=failpoints) as ledger, pytest.raises(Crash):
        ledger.apply(NodeId("nd"), "ob", usage_batch([]))


def test_two_of_one_file_are_refused(path: str):
    with opened(path), pytest.raises(Busy), opened(path):
        pass
    with opened(path):
        pass


def test_a_newer_file_is_refused_and_left_alone(path: str):
    with opened(path) as state:
        state.put(project("a"))
    connection = apsw.Connection(path)
    run(connection, "update meta set value = 9 where name in ('schema', 'least')")
    connection.close()
    with pytest.raises(NewerData, match="schema 9"), opened(path):
        pass
    assert run(apsw.Connection(path), "select value from meta") == [(9,), (9,)]


@pytest.mark.parametrize("page", [0, 1, 3])
def test_a_damaged_file_is_refused_and_left_alone(path: str, page: int):
    with opened(path) as state:
        for number in range(200):
            state.put(project(f"p{number}"))
    damaged = bytearray(Path(path).read_bytes())
    damaged[page * 4096 : page * 4096 + 3000] = b"\xff" * 3000
    Path(path).write_bytes(damaged)
    with pytest.raises(Damaged, match=r"control\.db.*backup"), opened(path):
        pass
    assert Path(path).read_bytes() == damaged


def test_a_full_disk_refuses_the_write_and_keeps_the_rest(path: str, faults: Faults):
    with opened(path) as state:
        state.put(project("a"))
        faults.fail["write", "-wal"] = apsw.FullError
        with pytest.raises(StorageFull, match="nothing was written"):
            state.put(project("b"))
        assert state.get("Project", "b") is None
        faults.fail.clear()
        state.put(project("c"))
        assert [each.metadata.name for each in state.list("Project")] == ["a", "c"]


def test_after_a_failed_sync_the_file_is_opened_anew(path: str, faults: Faults):
    with opened(path) as state:
        state.put(project("a"))
        faults.fail["sync", "-wal"] = apsw.IOError
        with pytest.raises(Unavailable):
            state.put(project("b"))
        with pytest.raises(Unavailable):
            state.list("Project")
        faults.fail.clear()
        assert state.get("Project", "a") is not None
        state.put(project("c"))
    with opened(path) as state:
        assert state.get("Project", "c") is not None


def test_a_checkpoint_without_room_does_not_spoil_the_write(path: str, faults: Faults):
    database = Database(path, CONTROL_STEPS)
    database.open()

    def work(connection: apsw.Connection) -> None:
        for number in range(CHECKPOINT_FRAMES):
            run(connection, "insert into fact values(?, ?)", (f"f{number}", b"x" * 5000))

    faults.fail["write", ".db"] = apsw.FullError
    database.write(work)
    assert database.read("select count(*) from fact") == [(CHECKPOINT_FRAMES,)]
    faults.fail.clear()
    assert database.write(lambda _: 1) == 1
    database.close()


def test_the_log_is_checkpointed_while_it_runs(path: str):
    with opened(path) as state:
        for number in range(400):
            state.put_value("same", bytes([number % 256]) * 30_000)
        assert Path(f"{path}-wal").stat().st_size < 3 * CHECKPOINT_FRAMES * 4096


def test_after_closing_every_call_is_refused(path: str):
    with opened(path) as state:
        pass
    with pytest.raises(Unavailable, match="closed"):
        state.list("Project")
    with pytest.raises(Unavailable, match="closed"):
        state.put(project("a"))


def test_the_reading_connection_cannot_write(path: str):
    database = Database(path, CONTROL_STEPS)
    database.open()
    with pytest.raises(Unavailable):
        database.read("insert into fact values('a', x'00')")
    database.close()
