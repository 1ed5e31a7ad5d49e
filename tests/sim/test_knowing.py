"""What was recorded on two real engines beside other load, promised and learned again."""

import pathlib

import pytest

from sim.knowing import PROBE, RECORDED, Seen, judged, read, replay, write
from sim.stepper import Ask
from sim.traces import arrivals, played

SLOTS = {"edge": 4, "cloud": 8}


@pytest.fixture(scope="module")
def recorded():
    return list(read(RECORDED))


def test_the_recording_holds_both_places_probes_and_contended_times(recorded):
    assert {each.place for each in recorded} == set(SLOTS)
    assert sum(each.tag == PROBE for each in recorded) == 32
    assert any(each.strain > 1.3 for each in recorded)
    assert RECORDED.stat().st_size <= 100_000


def test_promises_for_what_was_recorded_hold_and_are_righter_than_those_of_rivals(recorded):
    found = judged(replay(recorded, SLOTS))
    assert found["coverage_p90"] >= 0.85
    assert abs(found["bias"]) <= 0.10
    rivals = [row["mdape"] for name, row in found["rivals"].items() if "known" not in name]
    assert found["mdape"] < min(rivals)


def test_a_replay_gives_the_same_promises_again(recorded):
    assert replay(recorded, SLOTS) == replay(reversed(recorded), SLOTS)


def test_what_is_written_is_read_again(tmp_path: pathlib.Path):
    rows = [
        Seen(-1000.0, "edge", PROBE, 16, 1, 0, 1.0, 1.25, 0.011, 0.012),
        Seen(1.234, "cloud", "chat", 20, 7, 3, 2.5, 1.75, 0.25, 1.5),
    ]
    write(rows, tmp_path / "seen.csv")
    assert list(read(tmp_path / "seen.csv")) == rows


TRACE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,374,44
2023-11-16 18:17:04.9799600,396,1
2023-11-16 18:17:08.9799600,20,0
"""


def test_a_trace_comes_slower_than_it_was_recorded(tmp_path: pathlib.Path):
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    found = arrivals(path)
    assert [each.came for each in found] == pytest.approx([0.0, 2.2, 11.0])
    assert [(each.tokens_in, each.tokens_out) for each in found] == [(374, 44), (396, 1), (20, 1)]


def test_bounds_hold_through_a_time_when_the_machine_is_slower():
    asks = [
        Ask(at * 1.5, "trace", 200 + at * 37 % 900, 20 + at * 53 % 200, 0.0, confidential=False)
        for at in range(400)
    ]
    found = judged(played(asks))
    assert found["seen"] == 340
    assert 0.85 <= found["coverage_p90"] <= 0.97
    assert found["mdape_known_length"] <= 0.25
