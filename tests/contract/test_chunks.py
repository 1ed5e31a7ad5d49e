"""What every store of chunks does, in memory and on a disk."""

from contextlib import ExitStack

import pytest

from littoral.domain.chunk import ALL, FIRST, Chunk, ChunkId, ChunkLevel, Stretch, Taken
from littoral.domain.ids import NodeId, RequestId
from littoral.domain.units import DAY_US, Bytes
from littoral.stores.chunks import Kept, SqliteChunks
from littoral.testing.chunks import MemoryChunks
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink

HERE = Taken(number=7, request=RequestId("rq_7"), attempt=1)
DAYS, MOST = 10, Bytes(1000)
TODAY = 12


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryChunks(days=DAYS, most=MOST)
        return
    kept = Kept(days=DAYS, most=MOST)
    with opened(tmp_path, kept=kept) as found:
        yield found


def opened(folder, sink=None, **more):
    path = str(folder / "records.db")
    return SqliteChunks.open(path, clock=SettableClock(), sink=sink or ListSink(), **more)


def chunk(day, node="nd_a", model="tiny", part=0, *, size=10):
    name = ChunkId(day, NodeId(node), model, part)
    first_us = day * DAY_US
    return Chunk(id=name, first_us=first_us, last_us=first_us + 99, count=3, body=b"x" * size)


def names(found):
    return [tuple(each.id) for each in found]


def every(store, wanted=ALL, most=Bytes(1 << 20)):
    return store.chunks(wanted, after=FIRST, most=most)


def test_a_store_begins_empty(store):
    assert store.taken() == Taken()
    assert store.last(1, NodeId("nd_a"), "tiny") is None
    assert list(every(store)) == []
    assert store.level() == ChunkLevel()


def test_what_was_put_is_found_and_so_is_how_far_it_goes(store):
    store.put([chunk(1), chunk(1, part=1)], HERE, today=TODAY)
    assert store.taken() == HERE
    assert store.last(1, NodeId("nd_a"), "tiny") == chunk(1, part=1)
    assert list(every(store)) == [chunk(1), chunk(1, part=1)]
    assert store.level() == ChunkLevel(chunks=2, records=6, size=Bytes(20), first_us=DAY_US)


def test_a_chunk_takes_the_place_of_the_one_of_its_name(store):
    store.put([chunk(1)], HERE, today=TODAY)
    store.put([chunk(1, size=20)], HERE, today=TODAY)
    assert list(every(store)) == [chunk(1, size=20)]


def test_chunks_are_found_by_time_node_and_model(store):
    store.put([chunk(2), chunk(1, "nd_b"), chunk(1, model="large"), chunk(1)], HERE, today=TODAY)
    assert names(every(store)) == [
        (1, "nd_a", "large", 0),
        (1, "nd_a", "tiny", 0),
        (1, "nd_b", "tiny", 0),
        (2, "nd_a", "tiny", 0),
    ]
    assert names(every(store, Stretch(node="nd_b"))) == [(1, "nd_b", "tiny", 0)]
    assert names(every(store, Stretch(model="large"))) == [(1, "nd_a", "large", 0)]
    assert names(every(store, Stretch(since_us=DAY_US + 100))) == [(2, "nd_a", "tiny", 0)]
    assert len(every(store, Stretch(until_us=2 * DAY_US))) == 3
    assert len(every(store, Stretch(until_us=2 * DAY_US + 1))) == 4


def test_a_page_has_one_chunk_at_least_and_the_next_goes_on_behind_it(store):
    store.put([chunk(1), chunk(2), chunk(3)], HERE, today=TODAY)
    (first,) = every(store, most=Bytes(1))
    assert names(store.chunks(ALL, after=first.id, most=Bytes(1))) == [(2, "nd_a", "tiny", 0)]
    assert names(store.chunks(ALL, after=chunk(3).id, most=Bytes(1))) == []


def test_old_days_go_and_so_do_the_oldest_of_too_many_bytes(store):
    store.put([chunk(1), chunk(5), chunk(10)], HERE, today=TODAY)
    assert [each.id.day for each in every(store)] == [1, 5, 10]
    store.put([chunk(11)], HERE, today=TODAY)
    assert [each.id.day for each in every(store)] == [5, 10, 11]
    store.put([chunk(12, size=985)], HERE, today=TODAY)
    assert [each.id.day for each in every(store)] == [11, 12]
    store.put([chunk(12, size=2000)], HERE, today=TODAY)
    assert [each.id.day for each in every(store)] == [12]


def test_a_record_dated_far_ahead_makes_no_other_one_old(store):
    store.put([chunk(1), chunk(5), chunk(900)], HERE, today=6)
    assert [each.id.day for each in every(store)] == [1, 5, 900]
    store.put([], HERE, today=TODAY)
    assert [each.id.day for each in every(store)] == [5, 900]


def test_bytes_are_bounded_whatever_day_it_is_thought_to_be(store):
    store.put([chunk(day, size=400) for day in (5, 6, 7, 8)], HERE, today=0)
    assert [each.id.day for each in every(store)] == [7, 8]


def test_everything_can_be_forgotten(store):
    store.put([chunk(1)], HERE, today=TODAY)
    store.clear()
    assert (store.taken(), list(every(store))) == (Taken(), [])


def test_a_disk_keeps_them_over_a_restart(tmp_path):
    with opened(tmp_path) as store:
        store.put([chunk(1)], HERE, today=TODAY)
    with opened(tmp_path) as store:
        assert (store.taken(), list(every(store))) == (HERE, [chunk(1)])


def test_a_damaged_file_is_set_aside_named_and_begun_anew(tmp_path):
    sink = ListSink()
    with ExitStack() as stack:
        stack.enter_context(opened(tmp_path)).put([chunk(1, size=9000)], HERE, today=TODAY)
    path = tmp_path / "records.db"
    path.write_bytes(path.read_bytes()[:2000] + b"\xff" * 6000)
    with opened(tmp_path, sink) as store:
        assert store.taken() == Taken()
        store.put([chunk(2)], HERE, today=TODAY)
    (event,) = sink.events
    assert event.code == "records.damaged"
    assert "records.db.damaged-" in event.message
    assert len(list(tmp_path.glob("records.db.damaged-*"))) == 1
