from hypothesis import given
from hypothesis import strategies as st

from littoral.trust.limit import admit, per_minute


def test_a_limit_per_minute_may_be_used_at_once_and_comes_back_evenly():
    assert per_minute(1) == (60_000_000_000, 60_000_000_000)
    interval, burst = per_minute(3)
    tat = 0
    for _ in range(3):
        tat, wait = admit(tat, 0, interval_ns=interval, burst_ns=burst)
        assert wait == 0
    assert admit(tat, 0, interval_ns=interval, burst_ns=burst) == (tat, 20_000_000_000)
    assert admit(tat, 20_000_000_000, interval_ns=interval, burst_ns=burst)[1] == 0


def test_a_refusal_takes_nothing():
    tat, wait = admit(100, 0, interval_ns=50, burst_ns=100)
    assert (tat, wait) == (100, 50)


def test_a_cost_over_the_burst_never_passes():
    assert admit(0, 10**12, interval_ns=10, burst_ns=20, cost=3)[1] == 10


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 3)), max_size=60),
    st.integers(1, 200),
    st.integers(3, 10),
)
def test_no_window_admits_more_than_burst_and_rate(arrivals, interval, burst):
    now = tat = 0
    admitted: list[tuple[int, int]] = []
    for gap, cost in arrivals:
        now += gap
        new, wait = admit(tat, now, interval_ns=interval, burst_ns=interval * burst, cost=cost)
        if wait:
            assert new == tat
            assert (
                admit(tat, now + wait, interval_ns=interval, burst_ns=interval * burst, cost=cost)[
                    1
                ]
                == 0
            )
            assert (
                admit(
                    tat, now + wait - 1, interval_ns=interval, burst_ns=interval * burst, cost=cost
                )[1]
                == 1
            )
        else:
            admitted.append((now, cost))
        tat = new
    for first, (start, _) in enumerate(admitted):
        total = 0
        for at, cost in admitted[first:]:
            total += cost
            assert total * interval <= burst * interval + (at - start)
