"""The archive of records, what can be asked of it, and the figures made of the same lines."""

from dataclasses import replace

import anyio
import pytest
from anyio import from_thread

from littoral.control.archive import PAGE, Archive, ArchiveParts
from littoral.control.exposition import Family, exposed
from littoral.control.tally import PLACES, Tally
from littoral.control.worker import Workers
from littoral.domain.chunk import ALL, FIRST
from littoral.domain.decided import decided
from littoral.domain.errors import StorageFull, Unavailable
from littoral.domain.ids import EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.units import DAY_US, Micros
from littoral.domain.usage import CACHE
from littoral.placement import columns
from littoral.placement.history import Priced
from littoral.testing.chunks import MemoryChunks
from littoral.testing.clock import SettableClock
from littoral.testing.ledger import MemoryLedger
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_batch, usage_record

pytestmark = pytest.mark.anyio
NODE, OTHER = NodeId("nd_a"), NodeId("nd_b")
DAY = 20_000
CHEAPEST = decided("cheapest", (0, 0, 0, 2, 0, 0))


def record(number, **changes):
    usual = {
        "at_us": Micros(DAY * DAY_US + number * 1000),
        "predicted_us": 1_000_000,
        "predicted_p90_us": 1_500_000,
        "total_us": 1_200_000,
        "decided": CHEAPEST,
    }
    return usage_record(number, **(usual | changes))


class Desk:
    """An archive over twins, and what it was told."""

    def __init__(self):
        self.ledger, self.chunks, self.sink = MemoryLedger(), MemoryChunks(), ListSink()
        self.reports, self.sent = [], {NODE: 0, OTHER: 0}
        self.start()

    def start(self, **more):
        async def prices():
            return {}

        self.archive = Archive(
            ArchiveParts(
                ledger=self.ledger,
                chunks=self.chunks,
                clock=SettableClock(),
                sink=self.sink,
                workers=Workers(),
                prices=prices,
                report=lambda what, error: self.reports.append((what, error)),
                **more,
            )
        )

    def book(self, *records, node=NODE):
        self.ledger.apply(node, "ob", usage_batch(records, self.sent[node] + 1))
        self.sent[node] += len(records)

    def kept(self):
        found = self.chunks.chunks(ALL, after=FIRST, most=1 << 30)
        return [each for chunk in found for each in columns.records(chunk.body)]


@pytest.fixture
def desk():
    return Desk()


async def test_every_line_is_in_a_chunk_of_its_day_node_and_model(desk):
    tomorrow = record(3, at_us=Micros((DAY + 1) * DAY_US))
    desk.book(record(1), record(2, model="large"), tomorrow)
    desk.book(record(4), node=OTHER)
    await desk.archive.settle()
    found = desk.chunks.chunks(ALL, after=FIRST, most=1 << 30)
    assert [(each.id, each.count) for each in found] == [
        ((DAY, NODE, "large", 0), 1),
        ((DAY, NODE, "tiny", 0), 1),
        ((DAY, OTHER, "tiny", 0), 1),
        ((DAY + 1, NODE, "tiny", 0), 1),
    ]
    assert await desk.archive.page(ALL, found[2].id) == found[3:]


async def test_what_comes_later_joins_the_chunk_that_has_room(desk):
    desk.start(together=3)
    for number in range(1, 5):
        desk.book(record(number))
        await desk.archive.settle()
    found = desk.chunks.chunks(ALL, after=FIRST, most=1 << 30)
    assert [(each.id.part, each.count) for each in found] == [(0, 3), (1, 1)]
    assert desk.kept() == [record(number) for number in range(1, 5)]


async def test_a_restart_takes_nothing_twice_and_tells_only_of_what_comes(desk):
    desk.book(record(1))
    await desk.archive.settle()
    assert list(desk.archive.tally.latest) == []
    desk.start()
    await desk.archive.settle()
    desk.book(record(2))
    await desk.archive.settle()
    assert desk.kept() == [record(1), record(2)]
    assert list(desk.archive.tally.latest) == [record(2)]


async def test_what_was_in_the_ledger_at_the_start_is_not_counted_however_much_it_is(desk):
    desk.start(together=2)
    desk.book(*map(record, range(1, 6)))
    await desk.archive.settle()
    assert list(desk.archive.tally.latest) == []
    desk.book(record(6))
    await desk.archive.settle()
    assert list(desk.archive.tally.latest) == [record(6)]


async def test_columns_that_cannot_be_cleared_are_not_believed_at_the_next_look(desk):
    class Full(MemoryChunks):
        """Cannot be cleared the first time."""

        full = True

        def clear(self):
            if self.full:
                self.full = False
                raise StorageFull("no room")
            super().clear()

    desk.chunks = Full()
    desk.start()
    desk.book(record(1), record(2))
    await desk.archive.settle()
    desk.ledger, desk.sent = MemoryLedger(), {NODE: 0, OTHER: 0}
    desk.book(record(1), record(9))
    desk.start()
    with pytest.raises(StorageFull):
        await desk.archive.settle()
    await desk.archive.settle()
    assert desk.kept() == [record(1), record(9)]


async def test_a_ledger_that_was_restored_is_read_anew(desk):
    desk.book(record(1), record(2))
    await desk.archive.settle()
    desk.ledger, desk.sent = MemoryLedger(), {NODE: 0, OTHER: 0}
    desk.book(record(1), record(9))
    desk.start()
    await desk.archive.settle()
    assert desk.kept() == [record(1), record(9)]
    assert desk.sink.codes() == ["records.remade"]


async def test_a_chunk_that_cannot_be_read_is_named_and_left(desk):
    desk.book(record(1))
    await desk.archive.settle()
    (chunk,) = desk.chunks.chunks(ALL, after=FIRST, most=1)
    desk.chunks.put([replace(chunk, body=chunk.body[:-3])], desk.chunks.taken(), today=0)
    desk.book(record(2))
    await desk.archive.settle()
    assert desk.sink.codes() == ["records.unreadable"]
    assert "node nd_a, model tiny, part 0" in desk.sink.events[0].message
    last = desk.chunks.last(DAY, NODE, "tiny")
    assert (last.id.part, columns.records(last.body)) == (1, [record(2)])


def test_a_tally_has_the_figures_of_each_place():
    tally = Tally()
    prices = {"d": Priced(serves="tiny"), "far": Priced(serves="tiny", price_in=1.0, price_out=1.0)}
    desk = Desk()
    late = record(2, total_us=2_000_000, cost=0.0)
    failed = record(3, status="failed", cost=0.0)
    desk.book(record(1, cost=0.0), late, failed, record(4, endpoint=EndpointId(CACHE)))
    desk.book(record(5, model="other"), node=OTHER)
    tally.take(desk.ledger.since(0, 10), prices)
    places = {place[:2]: found for place, found in tally.places().items()}
    here = places[NODE, "ep_1"]
    assert (here.statuses, here.whys) == ({"ok": 2, "failed": 1}, {"cheapest": 3})
    assert (here.rejected, here.scored, here.held) == ({"unready": 6}, 2, 1)
    assert here.dearest == pytest.approx((2 + 3 + 4) / 1e6)
    assert here.accuracy.coverage == 0.5
    assert places[NODE, CACHE].dearest == 0.0
    assert places[OTHER, "ep_1"].dearest == places[OTHER, "ep_1"].spent == 0.5


def test_a_tally_forgets_the_place_that_was_quiet_longest():
    desk = Desk()
    every = [record(n, endpoint=EndpointId(f"e{n}")) for n in range(PLACES + 1)]
    desk.book(*every)
    tally = Tally()
    tally.take(desk.ledger.since(0, PLACES + 1), {})
    assert len(tally.places()) == PLACES
    assert "e0" not in {place.endpoint for place in tally.places()}


def test_figures_are_exposed_as_prometheus_reads_them():
    family = Family(
        name="a_total",
        kind="counter",
        help="What\nit is.",
        samples=[({"model": 'a"b\\'}, 2.0), ({}, 1e-7), ({"model": "x"}, float("nan"))],
    )
    empty = Family(name="b", kind="gauge", help="Nothing.", samples=[])
    assert exposed([family, empty]).decode().splitlines() == [
        "# HELP a_total What\\nit is.",
        "# TYPE a_total counter",
        'a_total{model="a\\"b\\\\"} 2.0',
        "a_total 1e-07",
    ]


async def test_records_are_asked_for_by_page(site):
    site.ledger.apply(NODE, "ob", usage_batch([record(1), record(2, key=KeyId("k2"))]))
    site.ledger.apply(OTHER, "ob", usage_batch([record(3, project=ProjectId("p"), tag="chat")]))
    told = (await site.ask("GET", "/records", params={"limit": "1"})).json()
    assert [each["request"] for each in told["records"]] == ["rq_1", "rq_2"]
    rest = (await site.ask("GET", "/records", params={"after": told["next"]})).json()
    assert [each["request"] for each in rest["records"]] == ["rq_3"]
    last = (await site.ask("GET", "/records", params={"after": rest["next"]})).json()
    assert last == {"records": [], "next": "", "unreadable": 0}
    for wanted, found in (
        ({"key": "k2"}, ["rq_2"]),
        ({"project": "p"}, ["rq_3"]),
        ({"tag": "chat"}, ["rq_3"]),
        ({"node": NODE}, ["rq_1", "rq_2"]),
        ({"model": "none"}, []),
        ({"until": str(DAY * DAY_US + 1500)}, ["rq_1"]),
    ):
        told = (await site.ask("GET", "/records", params=wanted)).json()
        assert [each["request"] for each in told["records"]] == found


async def test_a_key_sees_the_records_of_its_own_project_only(site):
    made = await site.ask("POST", "/keys", json={"name": "k", "scopes": ["infer"]})
    key, own = made.json()["secret"], made.json()["key"]["project"]
    rows = [record(1, project=ProjectId(own)), record(2, project=ProjectId("p"))]
    site.ledger.apply(NODE, "ob", usage_batch(rows))
    told = (await site.ask("GET", "/records", key=key)).json()
    assert [each["request"] for each in told["records"]] == ["rq_1"]
    others = await site.ask("GET", "/records", key=key, params={"project": "p"})
    assert (others.status_code, others.json()["error"]["param"]) == (403, "project")
    for path in ("/records/chunks", "/predictors", "/metrics", "/quality", "/blobs"):
        assert (await site.ask("GET", path, key=key)).status_code == 403


async def test_records_that_cannot_be_read_are_counted(site):
    site.ledger.apply(NODE, "ob", usage_batch([record(1)]))
    assert (await site.ask("GET", "/records")).json()["unreadable"] == 0
    (chunk,) = site.chunks.chunks(ALL, after=FIRST, most=1)
    site.chunks.put([replace(chunk, body=b"")], site.chunks.taken(), today=0)
    told = (await site.ask("GET", "/records")).json()
    assert (told["records"], told["unreadable"]) == ([], 1)


async def test_an_answer_looks_at_one_page_of_chunks_however_few_are_wanted(site):
    site.ledger.apply(NODE, "ob", usage_batch([record(1), record(2, model="large")]))
    assert (await site.ask("GET", "/records")).status_code == 200
    chunks = site.chunks.chunks(ALL, after=FIRST, most=1 << 30)
    large = [replace(each, body=bytes(PAGE)) for each in chunks]
    site.chunks.put(large, site.chunks.taken(), today=0)
    told = (await site.ask("GET", "/records", params={"tag": "none"})).json()
    assert (told["unreadable"], told["next"]) == (1, f"{DAY}/0/{NODE}/large")


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": "0"},
        {"limit": "20001"},
        {"after": "x"},
        {"after": "a/b/c/d"},
        {"after": f"{10**20}/0/n/m"},
        {"since": str(10**18)},
    ],
)
async def test_a_question_that_cannot_be_is_refused(site, wrong):
    assert (await site.ask("GET", "/records", params=wrong)).status_code == 400


async def test_chunks_come_as_they_are_kept(site):
    site.ledger.apply(NODE, "ob", usage_batch([record(1)]))
    told = (await site.ask("GET", "/records/chunks")).json()
    assert [each["count"] for each in told["chunks"]] == [1]
    assert told["next"] == f"{DAY}/0/{NODE}/tiny"


async def test_metrics_are_text_of_predictions_decisions_and_money(site):
    assert (await site.ask("GET", "/metrics")).status_code == 200
    site.ledger.apply(NODE, "ob", usage_batch([record(1), record(2, total_us=2_000_000)]))
    answer = await site.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    of = f'node="{NODE}",endpoint="ep_1",deployment="d",model="tiny"'
    for line in (
        f"littoral_prediction_outcomes_total{{{of}}} 2.0",
        f"littoral_prediction_held_total{{{of}}} 1.0",
        f"littoral_prediction_coverage{{{of}}} 0.5",
        f'littoral_placement_requests_total{{{of},status="ok"}} 2.0',
        f'littoral_placement_decisions_total{{{of},why="cheapest"}} 2.0',
        f'littoral_placement_rejections_total{{{of},reason="unready"}} 4.0',
        f"littoral_placement_spent_total{{{of}}} 1.0",
        "littoral_placement_regret 0.0",
        "littoral_records 2.0",
    ):
        assert line in lines


async def test_the_archive_follows_by_itself_and_goes_on_after_an_error(desk):
    came = anyio.Event()

    class Once(MemoryLedger):
        """Cannot be read the first time."""

        def since(self, number, limit):
            if not desk.reports:
                raise Unavailable("not now")
            return super().since(number, limit)

    class Rung(MemoryChunks):
        """Says when it has something."""

        def put(self, chunks, taken, *, today):
            super().put(chunks, taken, today=today)
            from_thread.run_sync(came.set)

    desk.ledger, desk.chunks = Once(), Rung()
    desk.start(every_s=0.001)
    desk.book(record(1))
    async with anyio.create_task_group() as group:
        group.start_soon(desk.archive.run)
        with anyio.fail_after(5):
            await came.wait()
        group.cancel_scope.cancel()
    assert [what for what, _ in desk.reports] == ["archive"]
    assert desk.kept() == [record(1)]
