"""Lanes: strict order, a window that follows the delay, each frame once whatever is lost."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.lane import (
    CONTROL,
    ENOUGH,
    INFERENCE,
    LEAST_CHUNK,
    LEAST_WINDOW,
    MORE,
    MOST_CHUNK,
    MOST_CONTROL,
    MOST_WINDOW,
    OVERHEAD,
    RECENT_S,
    TELEMETRY,
    Hostile,
    Incoming,
    Outgoing,
    Parcel,
    Trips,
    chunk_of,
    cost,
    widened,
)
from littoral.domain.units import Seconds

NOW = Seconds(100.0)
MIB = 1024 * 1024


def parcel(seq: int, **given) -> Parcel:
    fields = {"type": 2, "lane": 0, "stream": 0, "flags": 0, "body": b"x"} | given
    return Parcel(seq=seq, **fields)


def drain(out: Outgoing, now: Seconds = NOW) -> list[Parcel]:
    found = []
    while (each := out.next(now)) is not None:
        found.append(each)
    return found


def test_what_is_for_control_leaves_first_and_telemetry_last():
    out = Outgoing()
    out.put((13, TELEMETRY, 0), b"t")
    out.put((6, INFERENCE, 1), b"i")
    out.put((2, CONTROL, 0), b"c")
    assert [each.lane for each in drain(out)] == [CONTROL, INFERENCE, TELEMETRY]


def test_streams_of_one_lane_take_turns_piece_by_piece():
    out = Outgoing()
    out.window = float(MIB)
    for stream in (1, 3):
        out.put((6, INFERENCE, stream), b"x" * (3 * MOST_CHUNK))
    assert [each.stream for each in drain(out)] == [1, 3, 1, 3, 1, 3]


def test_pieces_say_that_more_follows_except_the_last_which_keeps_the_flags():
    out = Outgoing()
    out.put((6, INFERENCE, 1), b"x" * (LEAST_CHUNK + 1), flags=4)
    assert [each.flags for each in drain(out)] == [4 | MORE, 4]


def test_an_empty_frame_is_one_parcel():
    out = Outgoing()
    out.put((6, INFERENCE, 1), b"")
    assert [(each.seq, each.body) for each in drain(out)] == [(1, b"")]
    assert not out.waits


def test_the_window_holds_lanes_one_and_two_back_but_never_control():
    out = Outgoing()
    out.put((13, TELEMETRY, 0), b"x" * MIB)
    held = drain(out)
    assert sum(map(cost, held)) <= LEAST_WINDOW
    out.put((2, CONTROL, 0), b"c")
    assert [each.lane for each in drain(out)] == [CONTROL]
    out.acked(TELEMETRY, 1, held_s=0.0, now=Seconds(NOW + 0.1))
    assert [each.lane for each in drain(out)] == [TELEMETRY]


def test_a_full_window_of_inference_holds_telemetry_back_too():
    out = Outgoing()
    out.put((6, INFERENCE, 1), b"x" * MIB)
    out.put((13, TELEMETRY, 0), b"t")
    assert {each.lane for each in drain(out)} == {INFERENCE}


def test_one_frame_larger_than_the_window_leaves_when_nothing_is_under_way():
    out = Outgoing()
    out.put((6, INFERENCE, 1), b"x" * LEAST_WINDOW)
    first = out.next(NOW)
    assert first is not None
    assert len(first.body) == LEAST_CHUNK


def test_control_has_room_until_too_much_is_unacknowledged():
    out = Outgoing()
    assert out.has_room(CONTROL)
    out.put((2, CONTROL, 0), b"x" * MOST_CONTROL)
    drain(out)
    assert not out.has_room(CONTROL)
    out.acked(CONTROL, MOST_CONTROL // MOST_CHUNK, held_s=None, now=NOW)
    assert out.has_room(CONTROL)


def test_other_lanes_have_room_until_a_window_waits():
    out = Outgoing()
    out.put((13, TELEMETRY, 0), b"x" * MIB)
    assert not out.has_room(TELEMETRY)
    assert out.has_room(INFERENCE)


@pytest.mark.parametrize("seq", [-1, 2])
def test_an_acknowledgement_of_what_was_never_sent_is_refused(seq):
    out = Outgoing()
    out.put((2, CONTROL, 0), b"c")
    drain(out)
    with pytest.raises(ValueError, match="not sent"):
        out.acked(CONTROL, seq, held_s=None, now=NOW)


def test_an_acknowledgement_twice_counts_once():
    out = Outgoing()
    out.put((13, TELEMETRY, 0), b"x" * MIB)
    drain(out)
    for _ in range(2):
        out.acked(TELEMETRY, 1, held_s=None, now=NOW)
    assert len(drain(out)) == 1


def test_the_time_that_the_other_end_held_a_frame_is_not_the_links():
    out = Outgoing()
    out.put((2, CONTROL, 0), b"c")
    drain(out)
    out.acked(CONTROL, 1, held_s=0.4, now=Seconds(NOW + 0.5))
    assert out.trips.smooth_s == pytest.approx(0.1)


def test_what_says_nothing_about_the_link_leaves_the_window_alone():
    out = Outgoing()
    out.put((13, TELEMETRY, 0), b"x" * MIB)
    drain(out)
    out.acked(TELEMETRY, 2, held_s=None, now=Seconds(NOW + 9.0))
    assert out.window == LEAST_WINDOW
    assert out.trips.smooth_s == 0.0


def run(out: Outgoing, *, rate: float, trip: float, seconds: float) -> float:
    """Send for so long over a link of one rate; the greatest delay beyond the round trip."""
    now, free, worst = 0.0, 0.0, 0.0
    flying: list[tuple[float, Parcel, float]] = []
    while now < seconds:
        while out.has_room(TELEMETRY):
            out.put((13, TELEMETRY, 0), b"x" * MOST_CHUNK)
        for each in drain(out, Seconds(now)):
            free = max(free, now) + cost(each) / rate
            flying.append((free + trip, each, now))
        arrived, each, sent = flying.pop(0)
        now = max(now, arrived)
        if now > seconds / 2:
            worst = max(worst, now - sent - trip)
        out.acked(TELEMETRY, each.seq, held_s=0.0, now=Seconds(now))
    return worst


def test_on_a_slow_link_the_window_stays_small_and_the_delay_bounded():
    out = Outgoing()
    assert run(out, rate=32_000, trip=0.3, seconds=60) < 1.0
    assert out.window < 64 * 1024
    assert out.goodput == pytest.approx(32_000, rel=0.2)


def test_on_a_fast_link_the_window_grows_until_it_carries_what_the_link_does():
    out = Outgoing()
    run(out, rate=2_500_000, trip=0.04, seconds=30)
    assert out.window > 2_500_000 * 0.04
    assert out.goodput == pytest.approx(2_500_000, rel=0.25)


@given(
    window=st.floats(LEAST_WINDOW, MOST_WINDOW),
    size=st.integers(1, MOST_WINDOW),
    queued=st.floats(0, 100),
)
def test_the_window_stays_within_its_bounds(window, size, queued):
    assert LEAST_WINDOW <= widened(window, size, queued) <= MOST_WINDOW
    assert LEAST_CHUNK <= chunk_of(window) <= MOST_CHUNK


def test_the_window_grows_below_the_aim_and_shrinks_above_it():
    assert widened(MIB, 4096, 0.0) > MIB > widened(MIB, 4096, 1.0)


def test_goodput_needs_enough_bytes_and_a_run_without_pause():
    out = Outgoing()
    out.window = float(MIB)
    out.put((13, TELEMETRY, 0), b"x" * (ENOUGH - MOST_CHUNK))
    last = drain(out)[-1].seq
    out.acked(TELEMETRY, last, held_s=0.0, now=Seconds(NOW + 1.0))
    assert out.goodput == 0.0
    out.put((13, TELEMETRY, 0), b"x" * ENOUGH)
    last = drain(out, Seconds(NOW + 100))[-1].seq
    out.acked(TELEMETRY, last, held_s=0.0, now=Seconds(NOW + 102.0))
    assert out.goodput == pytest.approx((ENOUGH + 2 * OVERHEAD) / 2, rel=0.01)


def test_round_trips_are_smoothed_and_their_least_is_forgotten_in_time():
    trips = Trips()
    assert (trips.least_s, trips.p90_s) == (0.0, 0.0)
    trips.take(0.1, Seconds(0.0))
    for _ in range(18):
        trips.take(0.2, Seconds(1.0))
    trips.take(0.9, Seconds(2.0))
    assert trips.least_s == 0.1
    assert 0.2 < trips.smooth_s < 0.9
    assert trips.p90_s == 0.2
    trips.take(0.3, Seconds(RECENT_S))
    assert trips.least_s == 0.1
    trips.take(0.4, Seconds(2 * RECENT_S))
    assert trips.least_s == 0.3
    trips.take(0.5, Seconds(9 * RECENT_S))
    assert trips.least_s == 0.5


def take_all(incoming: Incoming, parcels: Iterable[Parcel]) -> None:
    for each in parcels:
        incoming.take(each, NOW)


def test_a_frame_in_pieces_is_put_together():
    incoming = Incoming(most=MIB)
    incoming.take(parcel(1, flags=MORE, body=b"ab"), NOW)
    assert incoming.pop() is None
    incoming.take(parcel(2, flags=4, body=b"c"), NOW)
    whole = incoming.pop()
    assert whole is not None
    assert (whole.body, whole.flags) == (b"abc", 4)


def test_a_parcel_that_came_before_is_dropped_and_a_missing_one_is_hostile():
    incoming = Incoming(most=MIB)
    incoming.take(parcel(1), NOW)
    incoming.take(parcel(1), NOW)
    assert incoming.pop() is not None
    assert incoming.pop() is None
    with pytest.raises(Hostile, match="came after"):
        incoming.take(parcel(3), NOW)


def test_what_is_never_completed_is_bounded():
    incoming = Incoming(most=1000)
    with pytest.raises(Hostile, match="over 1000"):
        take_all(incoming, (parcel(seq, stream=seq, flags=MORE) for seq in range(1, 1000)))


@pytest.mark.parametrize("lane", [CONTROL, TELEMETRY])
def test_what_nobody_takes_is_bounded(lane):
    incoming = Incoming(most=MIB)
    with pytest.raises(Hostile, match="beyond"):
        take_all(incoming, (parcel(n, lane=lane, body=b"x" * 65_000) for n in range(1, 1000)))


def test_what_was_not_taken_is_not_acknowledged():
    incoming = Incoming(most=MIB)
    incoming.take(parcel(1, lane=1), NOW)
    incoming.take(parcel(2, lane=1), NOW)
    assert list(incoming.acknowledged(NOW)) == [(1, 0, None)]
    incoming.pop()
    assert list(incoming.acknowledged(NOW)) == [(1, 1, None)]
    incoming.pop()
    assert list(incoming.acknowledged(Seconds(NOW + 2))) == [(1, 2, 2.0)]


@pytest.mark.parametrize("seen", [(1, 0, 0), (0, -1, 0)])
def test_to_have_seen_what_was_never_sent_is_refused(seen):
    with pytest.raises(ValueError, match="seen"):
        Outgoing().rewind(seen)


BODIES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 20_000)), max_size=20
)
STEPS = st.integers(0, 60)


@given(bodies=BODIES, lost=st.sets(STEPS), every=st.integers(1, 6))
def test_however_often_a_connection_is_lost_each_frame_arrives_once(bodies, lost, every):
    out, incoming = Outgoing(), Incoming(most=16 * MIB)
    got: list[tuple[int, bytes]] = []
    for at, (lane, stream, size) in enumerate(bodies):
        out.put((6, lane, stream), bytes([at]) * size)
    for step in range(10_000):
        sent = out.next(NOW)
        if step in lost:
            out.rewind(incoming.seen)
            continue
        if sent is not None:
            incoming.take(sent, NOW)
        if sent is None or not step % every:
            while (whole := incoming.pop()) is not None:
                got.append((whole.lane, whole.body))
            for lane, seq, held in incoming.acknowledged(NOW):
                out.acked(lane, seq, held_s=held, now=NOW)
        if sent is None and not out.waits:
            break
    wanted = [(lane, bytes([at]) * size) for at, (lane, _, size) in enumerate(bodies)]
    assert sorted(got) == sorted(wanted)


@given(sizes=st.lists(st.integers(0, 20_000), max_size=20), lost=st.sets(STEPS))
def test_frames_of_one_stream_arrive_in_their_order_whatever_is_lost(sizes, lost):
    out, incoming, got = Outgoing(), Incoming(most=16 * MIB), []
    for at, size in enumerate(sizes):
        out.put((6, INFERENCE, 1), bytes([at]) * size)
    for step in range(10_000):
        sent = out.next(NOW)
        if step in lost:
            out.rewind(incoming.seen)
            continue
        if sent is not None:
            incoming.take(sent, NOW)
        while (whole := incoming.pop()) is not None:
            got.append(whole.body)
        for lane, seq, held in incoming.acknowledged(NOW):
            out.acked(lane, seq, held_s=held, now=NOW)
        if sent is None and not out.waits:
            break
    assert got == [bytes([at]) * size for at, size in enumerate(sizes)]
