"""Streams joined between channels: forwarded, bounded, and ended with either side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import CALL
from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import WINDOW, ReplyHead
from littoral.domain.switch import MOST_AHEAD, Switch


@pytest.fixture
def switch():
    made = Switch(most=2)
    made.join("a", first=2)
    made.join("b", first=2)
    return made


def opened(stream=1):
    return Open(stream=stream, head=CALL)


def test_a_call_gets_a_number_of_its_own_on_the_other_channel(switch):
    assert switch.open("a", opened(7), to="b") == [("b", opened(2))]
    assert switch.open("a", opened(9), to="b") == [("b", opened(4))]
    assert (switch.load("a"), switch.load("b"), switch.load("c")) == (2, 2, 0)


def test_bytes_and_credit_pass_under_the_other_number(switch):
    switch.open("a", opened(7), to="b")
    assert switch.take("a", Data(stream=7, body=b"x", fin=True)) == [
        ("b", Data(stream=2, body=b"x", fin=True))
    ]
    assert switch.take("b", Credit(stream=2, upto=70_000)) == [("a", Credit(stream=7, upto=70_000))]
    head = ReplyHead(status=200)
    assert switch.take("b", Data(stream=2, head=head)) == [("a", Data(stream=7, head=head))]


def test_the_end_of_the_answer_ends_the_stream(switch):
    switch.open("a", opened(), to="b")
    switch.take("a", Data(stream=1, fin=True))
    assert switch.load("a") == 1
    assert switch.take("b", Data(stream=2, fin=True)) == [("a", Data(stream=1, fin=True))]
    assert (switch.load("a"), switch.load("b")) == (0, 0)
    assert switch.take("a", Data(stream=1, body=b"late")) == []


def test_a_reset_passes_with_what_it_says_and_ends_the_stream(switch):
    switch.open("a", opened(), to="b")
    reset = Reset(stream=2, code="no_candidate", retryable=True, message="why")
    (passed,) = switch.take("b", reset)
    assert passed == ("a", Reset(stream=1, code="no_candidate", retryable=True, message="why"))
    assert switch.load("a") == switch.load("b") == 0


def test_a_channel_that_goes_ends_its_streams_on_the_other_side(switch):
    switch.open("a", opened(), to="b")
    ((port, reset),) = switch.leave("b")
    assert (port, reset.stream, reset.code, reset.retryable) == ("a", 1, "session_lost", True)
    assert not switch.has("b")
    assert switch.has("a")
    assert switch.load("a") == 0
    assert switch.leave("b") == []


def test_a_call_to_where_no_channel_leads_is_reset(switch):
    ((port, reset),) = switch.open("a", opened(), to="nobody")
    assert (port, reset.stream, reset.code, reset.retryable) == ("a", 1, "session_lost", True)


def test_more_calls_than_a_channel_may_have_are_refused(switch):
    switch.open("a", opened(1), to="b")
    switch.open("a", opened(3), to="b")
    ((port, reset),) = switch.open("a", opened(5), to="b")
    assert (port, reset.stream, reset.code, reset.retryable) == ("a", 5, "refused", True)


@pytest.mark.parametrize("stream", [1, 2])
def test_a_number_that_is_in_use_or_ours_to_give_opens_nothing(switch, stream):
    switch.open("a", opened(1), to="b")
    assert switch.open("a", opened(stream), to="b") == []
    assert switch.open("nobody", opened(1), to="b") == []


def test_a_sender_beyond_its_leave_loses_the_stream_on_both_sides(switch):
    switch.open("a", opened(), to="b")
    assert len(switch.take("a", Data(stream=1, body=b"x" * WINDOW))) == 1
    told = switch.take("a", Data(stream=1, body=b"x"))
    assert [(port, frame.code) for port, frame in told] == [("a", "refused"), ("b", "internal")]
    assert switch.load("a") == switch.load("b") == 0


def test_leave_that_is_given_lets_more_pass(switch):
    switch.open("a", opened(), to="b")
    switch.take("b", Credit(stream=2, upto=WINDOW + 1))
    assert len(switch.take("a", Data(stream=1, body=b"x" * (WINDOW + 1)))) == 1
    assert switch.load("a") == 1


def test_leave_without_bounds_loses_the_stream(switch):
    switch.open("a", opened(), to="b")
    told = switch.take("b", Credit(stream=2, upto=MOST_AHEAD + 1))
    assert [(port, frame.code) for port, frame in told] == [("b", "refused"), ("a", "internal")]


def test_two_streams_of_one_channel_are_joined_and_end_together(switch):
    assert switch.open("a", opened(1), to="a") == [("a", opened(2))]
    assert switch.leave("a") == []


PORTS = st.sampled_from(["a", "b", "c"])
STREAMS = st.integers(1, 8)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("open"), PORTS, STREAMS, PORTS),
            st.tuples(st.just("data"), PORTS, STREAMS, st.integers(0, WINDOW)),
            st.tuples(st.just("fin"), PORTS, STREAMS, st.just(0)),
            st.tuples(st.just("reset"), PORTS, STREAMS, st.just(0)),
            st.tuples(st.just("credit"), PORTS, STREAMS, st.integers(0, 2 * MOST_AHEAD)),
            st.tuples(st.just("leave"), PORTS, st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_every_stream_has_two_ends_or_none_and_nothing_goes_to_a_channel_that_left(steps):
    switch = Switch(most=3)
    live = {"a", "b", "c"}
    for port in live:
        switch.join(port, first=2)
    for what, port, stream, more in steps:
        match what:
            case "open":
                out = switch.open(port, opened(stream), to=more)
            case "data":
                out = switch.take(port, Data(stream=stream, body=b"x" * more))
            case "fin":
                out = switch.take(port, Data(stream=stream, fin=True))
            case "reset":
                out = switch.take(port, Reset(stream=stream, code="cancelled"))
            case "credit":
                out = switch.take(port, Credit(stream=stream, upto=more))
            case _:
                out = switch.leave(port)
                live.discard(port)
        assert {to for to, _ in out} <= live
        loads = [switch.load(each) for each in ("a", "b", "c")]
        assert sum(loads) % 2 == 0
        assert max(loads) <= 4
