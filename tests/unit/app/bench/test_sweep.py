"""Searching for the rate that a service can take, and what is said of the search."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.bench.search import Point, best, following, judged
from littoral.app.bench.sweep import cells, conclusion, heads, page, swept
from littoral.app.command.messages import Messages
from unit.app.bench.records import made, row, steady_rows

EN, ZH = Messages("en"), Messages("zh")


def searched(capacity, *, first=1.0, steps=4, limit=1e9):
    points = []
    while (rate := following(points, first=first, steps=steps)) is not None:
        verdict = "client" if rate > limit else "good" if rate <= capacity else "misses"
        points.append(Point(rate=rate, verdict=verdict))
    return points


def test_rates_double_until_one_is_too_much_and_then_close_in():
    assert [point.rate for point in searched(10.0)] == [1, 2, 4, 8, 16, 11.3, 9.51, 10.4, 9.95]
    assert best(searched(10.0)) == 9.95


def test_a_beginning_that_is_too_much_is_halved():
    assert [point.rate for point in searched(3.0, first=16.0)] == [16, 8, 4, 2, 2.83]
    assert best(searched(0.001, steps=3)) is None


@given(st.floats(1, 5000), st.floats(0.5, 200), st.integers(0, 12))
def test_every_search_ends_within_its_bounds_and_never_praises_too_much(capacity, first, steps):
    points = searched(capacity, first=first, steps=steps)
    assert len(points) <= 18 + steps
    found = best(points)
    assert found is None or found <= capacity


@given(st.floats(2, 5000))
def test_more_steps_come_within_a_few_percent(capacity):
    assert best(searched(capacity, steps=8)) >= capacity / 1.05


def test_what_this_machine_cannot_measure_is_tried_twice_and_ends_the_search():
    points = searched(1000.0, limit=5.0)
    assert [point.rate for point in points] == [1, 2, 4, 8, 8]
    assert best(points) == 4


def test_no_rate_above_what_a_schedule_may_have_is_tried():
    assert max(point.rate for point in searched(1e9)) <= 100_000


@pytest.mark.parametrize(
    ("run", "verdict"),
    [
        (made(), "good"),
        (made(steady_rows(late=0.5)), "client"),
        (made([row(n / 10, ttft=0.1 + n / 50, e2e=60.0) for n in range(1000)]), "saturated"),
        (
            made([*steady_rows(900), *[row(90.0, kind="timeout")] * 99]),
            "failures",
        ),
        (made(steady_rows(ttft=0.3)), "misses"),
        (made(steady_rows(ttft=0.3), slo={}), "good"),
    ],
    ids=["good", "client", "saturated", "failures", "misses", "no objectives"],
)
def test_a_run_is_judged(run, verdict):
    assert judged(run, target=0.99) == verdict


def sweep(*verdicts, **given):
    rates = [10.0 * 2**place for place in range(len(verdicts))]
    runs = [made(rate=rate, **given) for rate in rates]
    points = [Point(rate=r, verdict=v) for r, v in zip(rates, verdicts, strict=True)]
    return swept(runs, points, target=0.99)


def test_the_conclusion_names_rate_share_and_objectives():
    told = conclusion(sweep("good", "misses"), EN)
    assert told == "At 10 requests a second at least 99% of them meet TTFT ≤ 200 ms, TPOT ≤ 150 ms."
    assert "can take 10 requests" in conclusion(sweep("good", "saturated", slo={}), EN)
    assert "No rate" in conclusion(sweep("misses"), EN)
    assert "could not measure" in conclusion(sweep("good", "client", "client"), EN)


def test_a_table_has_a_cell_for_each_title_and_is_ordered_by_rate():
    found = sweep("good", "misses", "saturated")
    rows = [cells(run, verdict, EN) for run, verdict in found.ordered()]
    assert {len(each) for each in rows} == {len(heads(EN))} == {9}
    assert [each[0] for each in rows] == ["10", "20", "40"]
    assert [each[-1] for each in rows] == ["good", "misses objectives", "the queue grows"]


@pytest.mark.parametrize("say", [EN, ZH], ids=["en", "zh"])
@pytest.mark.parametrize("verdicts", [("good", "misses"), ("misses",)])
@pytest.mark.parametrize("stream", [True, False])
def test_a_page_of_a_sweep_is_whole(say, verdicts, stream):
    told = page(sweep(*verdicts, stream=stream, slo={"e2e": 0.6}), say)
    assert told.count("<svg") == told.count("</svg>") == 2
    assert "<script" not in told
    assert "{" not in told.partition("</style>")[2]
