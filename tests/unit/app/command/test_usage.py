import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.command.usage import total_of
from littoral.domain.endpoint import Endpoint, Machine
from littoral.domain.news import NumberedEvent
from littoral.domain.node import Event, Node, NodeStatus
from littoral.domain.usage import UsageRecord, UsageSum
from littoral.domain.view import RequestRecords, UsageRows

ROWS = (
    UsageSum(model="m", day="2026-11-21", requests=2, tokens_in=1000, tokens_out=50, cost=0.5),
    UsageSum(model="m", day="2026-11-22", requests=1, tokens_in=234, tokens_out=7, estimated=1),
)
RECORD = UsageRecord(
    request="req_1",
    attempt=0,
    project="default",
    key="K1",
    model="m",
    deployment="d",
    endpoint="ep_1",
    status="ok",
    streamed=True,
    estimated=False,
    tokens_in=12,
    tokens_cached=4,
    tokens_out=34,
    at_us=1_700_000_000_000_000,
    first_us=120_000,
    total_us=900_000,
    predicted_us=600_000,
    predicted_p90_us=1_100_000,
    cost=0.0,
)
NODE = Node(
    id="nd_1",
    name="local",
    state="connected",
    seen_us=1_700_000_000_000_000,
    build="0.1.0",
    status=NodeStatus(
        machine=Machine(cores=2, memory=8_000_000_000, memory_free=4_000_000_000),
        endpoints=(
            Endpoint(id="ep_1", deployment="d", serves="m", engine="fake", state="ready"),
            Endpoint(
                id="ep_2",
                deployment="e",
                serves="n",
                engine="fake",
                state="failed",
                reason="no memory",
            ),
        ),
        snapshot=(1, 7),
        outbox_depth=3,
    ),
)


def test_usage_is_a_table_with_its_total(call, stand_in):
    stand_in.on("GET /api/v1/usage", UsageRows(rows=ROWS))
    said = call("usage", "--by", "model,day", "--since", "2023-11-14")
    assert said.out.splitlines() == [
        "MODEL  DAY         REQUESTS     IN  CACHED  OUT  COST",
        "m      2026-11-21         2  1,000       0   50   0.5",
        "m      2026-11-22         1    234       0    7     0",
        "total                     3  1,234       0   57   0.5",
    ]
    assert "1 of these requests" in said.err
    made = stand_in.calls[0][0]
    assert "by=model%2Cday" in made
    assert "since=1699920000000000" in made


def test_usage_as_json_has_rows_and_total(call, stand_in):
    stand_in.on("GET /api/v1/usage", UsageRows(rows=ROWS))
    told = call("usage", "--json").json
    assert told["total"]["tokens_in"] == 1234
    assert len(told["rows"]) == 2


def test_no_usage_is_said(call, stand_in):
    stand_in.on("GET /api/v1/usage", UsageRows(rows=()))
    assert "No usage" in call("usage").err


@pytest.mark.parametrize("words", [["--by", "color"], ["--since", "soon"], ["--until", "late"]])
def test_wrong_options_are_refused(call, words):
    assert call("usage", *words).status == 2


@given(st.lists(st.builds(UsageSum, requests=st.integers(0, 9), tokens_out=st.integers(0, 9))))
def test_the_total_is_the_sum(rows):
    total = total_of(rows)
    assert total.requests == sum(row.requests for row in rows)
    assert total.tokens_out == sum(row.tokens_out for row in rows)


def test_a_request_shows_prediction_against_measurement(call, stand_in):
    stand_in.on("GET /api/v1/requests/req_1", RequestRecords(records=(RECORD,)))
    out = call("requests", "show", "req_1").out
    assert "predicted   600 ms (9 of 10 within 1.1 s)" in out
    assert "measured    900 ms, 1.50 of it; first token after 120 ms" in out
    assert "ran at      ep_1 of deployment d" in out


def test_a_request_without_records_ends_with_1(call, stand_in):
    stand_in.on("GET /api/v1/requests/x", RequestRecords(records=()))
    assert call("requests", "show", "x").status == 1


def test_nodes_are_listed_and_shown(call, stand_in):
    stand_in.on("GET /api/v1/nodes", {"items": [NODE]})
    row = call("nodes", "list").out.splitlines()[1]
    assert row.split() == [
        *("local", "nd_1", "default", "cloud", "connected", "2023-11-14", "22:13:20Z"),
        *("2", "4.0", "GB", "1/2", "3", "0.1.0"),
    ]
    stand_in.on("GET /api/v1/shares", {"items": []})
    out = call("nodes", "show", "local").out
    assert "snapshot 1.7, 3 usage records" in out
    assert "no memory" in out
    assert "known: local" in call("nodes", "show", "far").err


def test_the_last_events_are_shown(call, stand_in):
    events = [
        NumberedEvent(
            number=number,
            event=Event(
                at_us=1_700_000_000_000_000,
                level="warning",
                subject=f"engine {number}",
                code="crashed",
                message="exit 1",
            ),
        )
        for number in (1, 2, 3)
    ]
    stand_in.on("GET /api/v1/events", {"items": events})
    out = call("events", "-n", "2").out.splitlines()
    assert out[0] == "2023-11-14 22:13:20Z  warning engine 2: exit 1 (crashed)"
    assert len(out) == 2
