"""The flow of one stream: nothing goes that was not allowed, and all that is allowed goes."""

from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.stream import CHUNK, WINDOW, Inward, Outward


def drained(outward):
    return list(outward.pieces())


def test_what_fits_the_window_goes_at_once_in_pieces():
    outward = Outward()
    outward.put(b"x" * (CHUNK + 1), last=True)
    assert [(len(data), last) for data, last in outward.pieces()] == [(CHUNK, False), (1, True)]
    assert outward.ended
    assert drained(outward) == []


def test_more_than_the_window_waits_for_leave():
    outward = Outward()
    outward.put(b"x" * (WINDOW + 3), last=True)
    assert sum(len(data) for data, _ in outward.pieces()) == WINDOW
    assert (outward.waiting, outward.ended) == (3, False)
    outward.allow(WINDOW - 1)
    assert drained(outward) == []
    outward.allow(WINDOW + 2)
    assert drained(outward) == [(b"xx", False)]
    outward.allow(WINDOW * 2)
    assert drained(outward) == [(b"x", True)]


def test_an_end_without_bytes_is_said_once():
    outward = Outward()
    outward.put(b"a")
    assert drained(outward) == [(b"a", False)]
    outward.put(b"", last=True)
    assert drained(outward) == [(b"", True)]
    assert drained(outward) == []


def test_a_receiver_allows_again_when_half_the_window_is_used():
    inward = Inward()
    assert inward.take(WINDOW // 2 - 1)
    assert inward.grant() == 0
    assert inward.take(1)
    assert inward.grant() == WINDOW + WINDOW // 2
    assert inward.grant() == 0


def test_a_receiver_that_is_held_allows_nothing_until_it_goes_on():
    inward = Inward()
    inward.hold(stop=True)
    assert inward.take(WINDOW)
    assert inward.grant() == 0
    inward.hold(stop=False)
    assert inward.grant() == 2 * WINDOW


def test_more_than_was_allowed_is_noticed():
    assert not Inward().take(WINDOW + 1)


@given(st.lists(st.binary(max_size=3 * CHUNK), max_size=20), st.integers(1, 5))
def test_all_bytes_arrive_in_order_and_never_beyond_what_is_allowed(pieces, every):
    outward, inward = Outward(), Inward()
    for data in pieces:
        outward.put(data)
    outward.put(b"", last=True)
    arrived, ended, turns = b"", False, 0
    while not ended and turns < 10_000:
        turns += 1
        for data, last in outward.pieces():
            assert inward.take(len(data))
            arrived += data
            ended = last
        if turns % every == 0:
            outward.allow(inward.grant())
    assert (ended, arrived) == (True, b"".join(pieces))
