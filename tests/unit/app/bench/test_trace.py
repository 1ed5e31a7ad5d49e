"""Recorded traffic: three forms, their traps, and lines that cannot be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.bench.trace import Cut, read, taken
from littoral.domain.errors import InvalidInput

AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:17:03.9799600,4808,10\r\n"
    "2023-11-16 18:17:04.0319600,3180,8\r\n"
    "2023-11-16 18:17:06.9799600,110,0"
)


def mooncake(at, *, blocks=(1, 2), tokens=(600, 50)):
    row = {"timestamp": at, "input_length": tokens[0], "output_length": tokens[1]}
    return json.dumps(row | {"hash_ids": list(blocks)})


def ours(at, tokens_in=5, tokens_out=7):
    return json.dumps({"at": at, "tokens_in": tokens_in, "tokens_out": tokens_out, "more": None})


def test_azures_columns_become_a_schedule_that_begins_at_zero():
    found = read(AZURE, name="conv.csv")
    assert [round(each.at, 3) for each in found] == [0.0, 0.052, 3.0]
    assert [(each.tokens_in, each.tokens_out) for each in found] == [
        (4808, 10),
        (3180, 8),
        (110, 1),
    ]


def test_mooncakes_rounded_stamps_are_spread_and_its_blocks_are_kept():
    text = "\n".join([mooncake(0), mooncake(0, blocks=(1, 9)), mooncake(0), mooncake(3000)])
    found = read(text, name="m.jsonl")
    assert [each.at for each in found] == [0.0, 1.0, 2.0, 3.0]
    assert found[1].blocks == (1, 9)


def test_our_own_rows_are_replayed():
    found = read("\n".join(["", ours(2.5), ours(1.0, 9)]), name="rows.jsonl")
    assert [(each.at, each.tokens_in) for each in found] == [(0.0, 9), (1.5, 5)]


def test_a_trace_is_sped_up_and_cut():
    found = read("\n".join(ours(at, 100, 50) for at in range(10)), name="r")
    kept = taken(found, Cut(speed=2.0, duration=2.0, count=3, most_in=60, most_out=20))
    assert [each.at for each in kept] == [0.0, 0.5, 1.0]
    assert {(each.tokens_in, each.tokens_out) for each in kept} == {(60, 20)}
    assert len(taken(found, Cut())) == 10


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 10**6)), min_size=1, max_size=50))
def test_every_row_is_replayed_in_order_and_no_token_is_lost(rows):
    found = read("\n".join(ours(at, tokens) for at, tokens in rows), name="r")
    assert len(found) == len(rows)
    assert found[0].at == 0.0
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert sum(each.tokens_in for each in found) == sum(max(1, tokens) for _, tokens in rows)


@pytest.mark.parametrize(
    "line",
    [
        *("{", "[1]", "3", '{"at": 1}', '{"at": 1, "tokens_in": null, "tokens_out": 2}'),
        *(ours(at) for at in ("x", True, float("nan"))),
    ],
)
def test_a_malformed_line_is_named_by_its_number(line):
    with pytest.raises(InvalidInput, match=r"r\.jsonl, line 2"):
        read(f"{ours(0)}\n{line}", name="r.jsonl")


@pytest.mark.parametrize("line", ["nonsense,1,2", "2023-11-16 18:17:03,x,2", "2023-11-16 18:17:03"])
def test_a_malformed_line_of_a_csv_is_named_by_its_number(line):
    with pytest.raises(InvalidInput, match=r"conv\.csv, line 5"):
        read(f"{AZURE}\n{line}", name="conv.csv")


def test_negative_times_and_lengths_are_refused():
    with pytest.raises(InvalidInput, match="line 1: times and lengths must not be negative"):
        read(ours(-1.0), name="r")


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3", "hello"])
def test_an_unknown_form_is_refused_with_the_known_ones(text):
    with pytest.raises(InvalidInput, match=r"ContextTokens.*input_length.*tokens_in"):
        read(text, name="x")


def test_a_trace_without_a_row_is_refused():
    with pytest.raises(InvalidInput, match="holds no request"):
        read("TIMESTAMP,ContextTokens,GeneratedTokens\n", name="x")
