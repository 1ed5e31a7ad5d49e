"""One suite for Ledger, on the file and on its twin."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.domain.errors import InvalidInput
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.outbox import Batch, Mark, Row
from littoral.domain.ports import Ledger
from littoral.domain.units import DAY_US, Micros, Tokens
from littoral.domain.usage import UsageRecord, UsageSum
from littoral.stores.ledger import SqliteLedger
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.ledger import MemoryLedger
from littoral.testing.usage import usage_record

NODE, OTHER = NodeId("nd_1"), NodeId("nd_2")
NOON = 20_000 * DAY_US + DAY_US // 2  # 2024-10-04


def record(number: int, **changes: object) -> UsageRecord:
    usual = {"tokens_in": Tokens(10), "tokens_cached": Tokens(3), "at_us": Micros(NOON)}
    return usage_record(number, **(usual | changes))


def mac(seq: int, disk: str = "") -> bytes:
    return f"{disk}{seq}".encode() if seq else b""


def rows(records: Sequence[UsageRecord], first: int = 1, disk: str = "") -> Batch:
    made = [Row(seq=n, mac=mac(n, disk), usage=each) for n, each in enumerate(records, first)]
    return Batch(lane="ledger", prev_mac=mac(first - 1, disk), rows=tuple(made))


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    with SqliteLedger.open(str(tmp_path / "ledger.db"), failpoints=ArmedFailpoints()) as opened:
        yield opened


def test_lines_are_read_in_the_order_in_which_they_were_applied(ledger: Ledger):
    late, early = record(1), record(2, at_us=Micros(NOON - 5))
    ledger.apply(NODE, "ob", rows([late]))
    ledger.apply(OTHER, "ob", rows([early]))
    ledger.apply(NODE, "ob", rows([late], first=2, disk=""))
    ledger.apply(NODE, "ob", rows([record(3, decided=5)], first=3))
    found = ledger.since(0, 10)
    assert [(each.number, each.node, each.usage) for each in found] == [
        (1, NODE, late),
        (2, OTHER, early),
        (3, NODE, record(3, decided=5)),
    ]
    assert [each.number for each in ledger.since(1, 1)] == [2]
    assert list(ledger.since(3, 10)) == []


def test_applied_rows_move_the_cursor_and_come_back_whole(ledger: Ledger):
    first, retry = record(1, status="failed", streamed=False), record(1, attempt=1, estimated=True)
    assert ledger.cursor(NODE, "ob") == Mark()
    done = ledger.apply(NODE, "ob", rows([retry, first]))
    assert (done.judgement, done.mark) == ("applied", Mark(seq=2, mac=mac(2)))
    assert ledger.cursor(NODE, "ob") == done.mark
    assert ledger.record("rq_1") == [first, retry]
    assert ledger.record("rq_2") == []


def test_rows_known_already_are_skipped(ledger: Ledger):
    ledger.apply(NODE, "ob", rows([record(1), record(2)]))
    assert ledger.apply(NODE, "ob", rows([record(8), record(9), record(3)])).mark.seq == 3
    assert ledger.record("rq_8") == []
    assert ledger.record("rq_3") == [record(3)]
    assert ledger.apply(NODE, "ob", rows([record(8)])).judgement == "known"


def test_rows_behind_a_gap_are_not_applied(ledger: Ledger):
    gap = ledger.apply(NODE, "ob", rows([record(1)], first=2))
    assert (gap.judgement, gap.mark) == ("gap", Mark())
    ledger.apply(NODE, "ob", rows([record(1)]))
    assert ledger.apply(NODE, "ob", rows([record(3)], first=3)).mark.seq == 1
    assert ledger.record("rq_3") == []


def test_rows_of_another_disk_with_the_same_name_are_not_applied(ledger: Ledger):
    ledger.apply(NODE, "ob", rows([record(1), record(2)]))
    for other in (
        rows([record(3)], first=3, disk="copy"),
        rows([record(2), record(3)], first=2, disk="copy"),
        rows([record(2)], first=2, disk="copy"),
    ):
        done = ledger.apply(NODE, "ob", other)
        assert (done.judgement, done.mark) == ("forked", Mark(seq=2, mac=mac(2)))
    assert ledger.record("rq_3") == []


def test_a_damaged_row_moves_the_cursor_and_is_counted_and_a_hole_is_refused(ledger: Ledger):
    spoilt = Batch(lane="ledger", rows=(Row(seq=1, mac=mac(1), damaged=99),))
    done = ledger.apply(NODE, "ob", spoilt)
    assert (done.mark.seq, done.damaged) == (1, 1)
    hole = Batch(lane="ledger", rows=(Row(seq=5, mac=mac(5), hole=2),))
    assert ledger.apply(NODE, "ob", hole).judgement == "gap"
    assert ledger.cursor(NODE, "ob").seq == 1


def test_tags_come_back_and_are_summed_by(ledger: Ledger):
    tagged = record(1, tag="batch")
    ledger.apply(NODE, "ob", rows([tagged, record(2), record(3, tag="batch")]))
    assert ledger.record("rq_1") == [tagged]
    assert [(row.tag, row.requests) for row in ledger.sums(by=["tag"])] == [("", 1), ("batch", 2)]


def test_no_rows_change_nothing(ledger: Ledger):
    assert ledger.apply(NODE, "ob", rows([])).mark == Mark()


def test_an_attempt_from_a_second_outbox_counts_once_and_moves_its_cursor(ledger: Ledger):
    ledger.apply(NODE, "ob", rows([record(1)]))
    done = ledger.apply(NODE, "ob2", rows([record(1, tokens_out=Tokens(99)), record(2)]))
    assert done.mark.seq == 2
    assert ledger.cursor(NODE, "ob").seq == 1
    assert [row.tokens_out for row in ledger.sums(by=[])] == [3]


def test_cursors_of_nodes_are_apart(ledger: Ledger):
    ledger.apply(NODE, "ob", rows([record(1)]))
    assert ledger.cursor(OTHER, "ob") == Mark()
    ledger.apply(OTHER, "ob", rows([record(2)]))
    sums = ledger.sums(by=["node"])
    assert [(row.node, row.tokens_out) for row in sums] == [(NODE, 1), (OTHER, 2)]


def test_sums_are_grouped_and_ordered_by_what_was_asked(ledger: Ledger):
    late = Micros(NOON + DAY_US)
    ledger.apply(
        NODE,
        "ob",
        rows(
            [
                record(1, key=KeyId("k2"), at_us=late),
                record(2, key=KeyId("k1"), model="big", estimated=True),
                record(3, key=KeyId("k1")),
                record(4, key=KeyId("k1")),
            ]
        ),
    )
    assert ledger.sums(by=["day", "key", "model"]) == [
        UsageSum(
            day="2024-10-04", key="k1", model="big", requests=1, tokens_in=10, tokens_cached=3,
            tokens_out=2, cost=0.5, estimated=1,
        ),
        UsageSum(
            day="2024-10-04", key="k1", model="tiny", requests=2, tokens_in=20, tokens_cached=6,
            tokens_out=7, cost=1.0,
        ),
        UsageSum(
            day="2024-10-05", key="k2", model="tiny", requests=1, tokens_in=10, tokens_cached=3,
            tokens_out=1, cost=0.5,
        ),
    ]  # fmt: skip
    assert [row.project for row in ledger.sums(by=["project"])] == ["default"]


def test_requests_are_counted_not_attempts(ledger: Ledger):
    ledger.apply(NODE, "ob", rows([record(1), record(1, attempt=1), record(2)]))
    total = ledger.sums(by=[])[0]
    assert (total.requests, total.tokens_in) == (2, 30)


def test_sums_keep_to_time_project_and_key(ledger: Ledger):
    ledger.apply(
        NODE,
        "ob",
        rows(
            [
                record(1, at_us=Micros(100)),
                record(2, at_us=Micros(200)),
                record(4, at_us=Micros(300), project=ProjectId("p2")),
                record(8, at_us=Micros(400), key=KeyId("k2")),
            ]
        ),
    )

    def tokens(**where: object) -> int:
        return sum(row.tokens_out for row in ledger.sums(by=[], **where))

    assert tokens(since_us=200) == 14
    assert tokens(until_us=200) == 1
    assert tokens(since_us=200, until_us=400) == 6
    assert tokens(project="p2") == 4
    assert tokens(key="k2") == 8
    assert tokens(project="p2", key="k2") == 0


def test_the_latest_records_come_first_and_keep_to_time_and_project(ledger: Ledger):
    records = [
        record(n, at_us=Micros(NOON + n % 4), project=ProjectId("ab"[n % 2])) for n in range(8)
    ]
    ledger.apply(NODE, "ob", rows(records))
    latest = ledger.latest(limit=3)
    assert [each.request for each in latest] == ["rq_3", "rq_7", "rq_2"]
    assert [each.at_us - NOON for each in ledger.latest(limit=9, until_us=Micros(NOON + 2))] == [
        *(1, 1, 0, 0)
    ]
    assert {each.project for each in ledger.latest(limit=9, project=ProjectId("b"))} == {"b"}
    assert len(ledger.latest(limit=9, project=ProjectId("b"))) == 4


def test_an_empty_ledger_has_no_sums(ledger: Ledger):
    assert ledger.sums(by=[]) == []
    assert ledger.sums(by=["day"]) == []


def test_an_unknown_group_is_refused_and_the_known_ones_are_named(ledger: Ledger):
    with pytest.raises(InvalidInput, match="project, key, model, day, node"):
        ledger.sums(by=["key", "colour"])


SOME = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(0, 2),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["x", "y"]),
        st.integers(0, 3 * DAY_US),
        st.integers(0, 1 << 40),
    ),
    max_size=60,
)


@given(drawn=SOME, batches=st.lists(st.integers(0, 20), max_size=10))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sums_are_right_to_the_token_however_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[int, int, str, str, int, int]],
    batches: list[int],
):
    made = [
        record(n, attempt=a, key=KeyId(k), model=m, at_us=Micros(NOON + at), tokens_out=Tokens(out))
        for n, a, k, m, at, out in drawn
    ]
    expected: Counter[tuple[str, str, int]] = Counter()
    seen: set[tuple[str, int]] = set()
    for each in made:
        if (each.request, each.attempt) not in seen:
            seen.add((each.request, each.attempt))
            expected[each.key, each.model, each.at_us // DAY_US] += each.tokens_out
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    twin = MemoryLedger()
    with SqliteLedger.open(str(path), failpoints=ArmedFailpoints()) as real:
        for start in [*batches, 0]:
            for book in (real, twin):
                book.apply(NODE, "ob", rows(made[start:], first=start + 1))
        by = ["key", "model", "day"]
        sums = real.sums(by=by)
        assert [replace(r, cost=0.0) for r in sums] == [
            replace(r, cost=0.0) for r in twin.sums(by=by)
        ]
        assert [r.tokens_out for r in sums] == [expected[k] for k in sorted(expected)]
        assert [r.cost for r in sums] == pytest.approx([r.cost for r in twin.sums(by=by)])
