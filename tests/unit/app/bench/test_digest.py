"""Answers as they come: cut anywhere, with usage, errors and odd ends."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.bench.digest import Digest


def event(delta=None, *, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"choices": choices} | more).encode() + b"\n\n"


ROLE = event({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
STREAM = (
    ROLE,
    event({"content": "a"}),
    event({"content": "b"}),
    event({"content": "c"}),
    event({}, finish="stop"),
    event(usage=USAGE),
    b"data: [DONE]\n\n",
)


def fed(pieces, *, streamed=True):
    digest = Digest(streamed=streamed)
    for place, piece in enumerate(pieces):
        digest.feed(float(place), piece)
    digest.finish()
    return digest


def test_a_role_without_content_is_no_token():
    found = fed(STREAM)
    assert found.first == 1.0
    assert list(found.gaps) == [1.0, 1.0]
    assert (found.tokens_in, found.tokens_out, found.cached, found.counted) == (12, 3, 4, True)
    assert not found.fault


@given(st.lists(st.integers(0, sum(map(len, STREAM))), max_size=12))
def test_where_the_bytes_are_cut_changes_no_count(cuts):
    data = b"".join(STREAM)
    edges = [0, *sorted(cuts), len(data)]
    found = fed([data[a:b] for a, b in pairwise(edges)])
    assert (len(found.gaps), found.tokens_in, found.tokens_out) == (2, 12, 3)
    assert found.ended
    assert not found.fault


def test_carriage_returns_comments_and_names_of_events_are_read_over():
    data = b": ping\r\n\r\nevent: x\r\ndata: " + event({"content": "a"})[6:].strip()
    found = fed([data + b"\r\n\r\n", b"data:[DONE]\n\n"])
    assert found.first == 0.0
    assert not found.fault


@pytest.mark.parametrize(
    "delta", [{"reasoning_content": "x"}, {"reasoning": "x"}, {"tool_calls": [{"index": 0}]}]
)
def test_thoughts_and_calls_of_tools_are_tokens_too(delta):
    assert fed([event(delta), b"data: [DONE]\n\n"]).first == 0.0


def test_without_usage_the_pieces_are_counted():
    found = fed([*STREAM[:5], STREAM[6]])
    assert (found.tokens_out, found.counted) == (3, False)


def test_a_finish_reason_ends_a_stream_that_has_no_done():
    assert not fed(STREAM[:5]).fault


def test_a_stream_that_just_stops_is_a_fault():
    assert "without [DONE]" in fed(STREAM[:3]).fault


def test_an_error_in_a_stream_is_a_fault_that_says_what_it_was():
    found = fed([STREAM[1], b'data: {"error":{"message":"engine died"}}\n\n', STREAM[6]])
    assert "engine died" in found.fault


def test_what_is_no_json_is_a_fault():
    assert "no JSON" in fed([b"data: {oops\n\n", b"data: [DONE]\n\n"]).fault
    assert "no JSON" in fed([b'{"choices": 3}'], streamed=False).fault


def test_an_answer_in_one_piece_has_usage_and_no_first_token():
    body = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": USAGE}).encode()
    found = fed([body[:9], body[9:]], streamed=False)
    assert (found.first, found.tokens_in, found.tokens_out) == (None, 12, 3)
    assert not found.fault


def test_completions_have_text_instead_of_a_delta():
    piece = b'data: {"choices":[{"index":0,"text":"x","finish_reason":null}]}\n\n'
    found = fed([piece, piece, b"data: [DONE]\n\n"])
    assert (found.first, list(found.gaps)) == (0.0, [1.0])


def test_embeddings_may_count_in_total_only():
    found = fed([b'{"data": [], "usage": {"total_tokens": 9}}'], streamed=False)
    assert (found.tokens_in, found.tokens_out, found.counted) == (9, 0, True)
