"""Downloads stay below what the line carries, and inside the site's hours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.pace import (
    ALWAYS,
    BURST_S,
    EVERY_S,
    SPELL_S,
    Bucket,
    Line,
    PacePolicy,
    Window,
    is_looking,
    is_open,
    look,
    pace_of,
    rate_of,
    take,
)
from littoral.domain.site import Bandwidth


@pytest.mark.parametrize(
    ("begin", "end", "minute", "opens"),
    [
        (60, 120, 60, True),
        (60, 120, 120, False),
        (60, 120, 59, False),
        (1320, 360, 1400, True),
        (1320, 360, 100, True),
        (1320, 360, 360, False),
        (1320, 360, 700, False),
    ],
)
def test_a_window_opens_at_its_first_minute_and_closes_at_its_last(begin, end, minute, opens):
    assert is_open([Window(begin=begin, end=end)], minute=minute) is opens


def test_without_windows_artefacts_may_always_come():
    assert is_open([], minute=0)


def test_the_rate_is_the_cap_or_three_quarters_of_the_line_whichever_is_less():
    capped = PacePolicy(bytes_s=100)
    assert rate_of(PacePolicy(), Line(carries=10.0), now=0.0) is None
    assert rate_of(capped, Line(), now=0.0) == 100
    assert rate_of(capped, Line(carries=1000.0), now=1.0) == 100
    assert rate_of(capped, Line(carries=80.0), now=1.0) == 60.0
    assert rate_of(capped, Line(carries=80.0), now=EVERY_S) == 100


def test_a_line_that_only_the_cap_held_back_is_used_up_to_the_cap():
    assert rate_of(PacePolicy(bytes_s=100), Line(carries=95.0), now=1.0) == 100


@given(
    rate=st.floats(1e3, 1e7),
    counts=st.lists(st.integers(1, 1 << 18), min_size=2, max_size=50),
)
def test_a_bucket_lets_no_more_through_than_its_rate_and_one_burst(rate, counts):
    bucket, now = Bucket(room=0.0, at=0.0), 0.0
    for count in counts:
        bucket, wait = take(bucket, count, rate=rate, now=now)
        now += wait
    assert sum(counts) <= rate * (now + BURST_S) * (1 + 1e-9) + 1


def test_a_line_is_looked_at_for_a_spell_and_then_again_after_a_minute():
    line = Line()
    assert is_looking(line, now=0.0)
    line = look(line, 1000, now=0.0)
    assert is_looking(line, now=1.0)
    line = look(line, 1000, now=1.0)
    line = look(line, 3000, now=SPELL_S)
    assert line.carries == 2000.0
    assert not is_looking(line, now=SPELL_S + 1.0)
    assert is_looking(line, now=SPELL_S + EVERY_S)


def test_a_look_that_time_has_overtaken_is_over():
    line = look(Line(), 1000, now=0.0)
    assert not is_looking(line, now=SPELL_S)
    assert look(line, 0, now=SPELL_S * 2).carries == 0.0


def test_a_site_s_bandwidth_is_a_cap_in_bytes_and_a_window_in_minutes():
    assert pace_of(Bandwidth()) == ALWAYS
    night = pace_of(Bandwidth(kbit_s=256, from_hour=22, to_hour=6))
    assert night == PacePolicy(bytes_s=32_000, windows=(Window(begin=1320, end=360),))
