"""Wheel, relay, flights and retries by themselves."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain import flight
from littoral.gateway.retry import Budget
from littoral.gateway.route import CHAT_FLOW
from littoral.gateway.settlement import OK, Flights
from littoral.gateway.tally import whole
from littoral.gateway.wheel import SPOKES, Wheel
from littoral.gateway.wire.relay import MAX_EVENT, Events, first_error

HEADER = (0, OK, 0, 1, 0, 2, 3, 4, 5, 6, 7, 1.0, 2.0)


class Timed:
    def __init__(self, due):
        self.due, self.calls = due, 0

    def expire(self, now):
        self.calls += 1
        self.due = now + 100


@given(due=st.floats(0, 5))
def test_the_wheel_calls_once_and_at_most_a_second_late(due):
    wheel, item, now = Wheel(), Timed(due), 0.0
    wheel.add(item)
    while not item.calls:
        now += 0.1
        wheel.turn(now)
        assert now <= due + 1.01
    assert now >= due
    for _ in range(SPOKES * 3):
        wheel.turn(now)
    assert item.calls == 1


def test_what_left_the_wheel_is_not_called():
    wheel, item = Wheel(), Timed(0.0)
    spoke = wheel.add(item)
    wheel.discard(item, spoke)
    wheel.discard(item, spoke)
    assert len(wheel) == 0
    for _ in range(SPOKES):
        wheel.turn(9.0)
    assert item.calls == 0


def test_slots_that_are_not_free_at_start_are_left_to_the_node():
    table = bytearray(flight.SLOT_BYTES * 4)
    table[flight.SLOT_BYTES] = flight.SETTLED
    flights = Flights(memoryview(table))
    taken = {flights.take() for _ in range(4)}
    assert taken == {0, 2, 3, -1}
    flights.free((1,))
    assert flights.take() == 1


def test_a_slot_says_what_was_written_last():
    table = bytearray(flight.SLOT_BYTES * 2)
    flights = Flights(memoryview(table))
    slot = flights.take()
    flights.open(slot, HEADER, b"r\np\nk\nm\nd\ne" + b"x" * 600)
    flights.count(slot, 77)
    read = flight.read(table, slot)
    assert (read.record.tokens_out, read.record.status) == (77, "interrupted")
    with pytest.raises(struct.error):
        flights.settle(slot, (*HEADER[:5], 1 << 32, *HEADER[6:9]))
    assert flight.read(table, slot).record.tokens_out == 77
    flights.settle(slot, HEADER[:9])
    read = flight.read(table, slot)
    assert (read.settled, read.record.tokens_out, read.record.request) == (True, 2, "r")
    assert flights.report() == (slot,)
    assert flights.report() == ()
    flights.free((slot,))
    assert flight.read(table, slot) is None


def test_retries_come_back_with_requests_and_end_at_ten():
    retries = Budget()
    assert retries.spend()
    assert not retries.spend()
    for _ in range(10_000):
        retries.earn()
    assert sum(retries.spend() for _ in range(30)) == 10


PIECE = b'data: {"choices":[{"delta":{"content":"x"}}]}'


@pytest.mark.parametrize("gap", [b"\n\n", b"\r\n\r\n"])
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
def test_events_are_passed_whole_and_counted_once_whatever_the_split(gap, cuts):
    raw = gap.join([PIECE] * 4) + gap
    events, out, at = Events(CHAT_FLOW, hold=True), b"", 0
    for cut in [*sorted(min(c, len(raw)) for c in cuts), len(raw)]:
        if raw[at:cut]:
            piece = events.take(raw[at:cut])
            assert not piece or piece.endswith(gap)
            out += piece
        at = cut
    assert out == raw
    assert events.tokens == 4


def test_an_endless_event_is_refused():
    events = Events(CHAT_FLOW, hold=False)
    assert events.take(b"x" * MAX_EVENT) == b""
    with pytest.raises(ValueError, match="over 1048576 bytes"):
        events.take(b"x")


@pytest.mark.parametrize(
    ("delta", "count"),
    [
        (b'{"role":"assistant","content":""}', 0),
        (b'{"content":"\\"content\\":\\"x"}', 1),
        (b'{"reasoning_content":"hm"}', 1),
        (b'{"tool_calls":[{"function":{"arguments":"{"}}]}', 1),
        (b'{"content": "spaced"}', 1),
        (b"{}", 0),
    ],
)
def test_only_pieces_of_content_count(delta, count):
    events = Events(CHAT_FLOW, hold=False)
    events.take(b'data: {"choices":[{"delta":%b}]}\n\n' % delta)
    assert events.tokens == count


def test_usage_is_found_across_the_last_two_pieces():
    events = Events(CHAT_FLOW, hold=False)
    detail = b'"prompt_tokens_details":{"cached_tokens":2}'
    events.take(
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,%b}}\n\n' % detail
    )
    events.take(b"data: [DONE]\n\n")
    usage = events.usage()
    assert (usage.tokens_in, usage.cached, usage.tokens_out) == (3, 2, 4)
    assert events.done


def test_replies_that_are_no_object_or_lie_are_not_read():
    assert whole(b"[]") is None
    assert whole(b'{"usage":{"prompt_tokens":-1}}') is None
    assert whole(b'{"choices":[]}').usage is None
    assert whole(b'{"error":"boom"}').fault == "boom"
    assert first_error(b'data: {"error":{"message":"boom"}}\n\n') == "boom"
    assert first_error(b'data: {"choices":[]}\n\n') is None
