"""What a node's minutes come to."""

from dataclasses import replace

import pytest

from littoral.domain.gauge import MOST, SUMS, Gauge, span_s
from littoral.testing.usage import usage_record


@pytest.mark.parametrize(
    ("share", "span"), [(0.0, 60), (0.49, 60), (0.5, 300), (0.79, 300), (0.8, 3600), (1.0, 3600)]
)
def test_spans_are_coarser_the_fuller_their_lane_is(share, span) -> None:
    assert span_s(share) == span


def test_an_empty_span_has_its_sums_and_nothing_else() -> None:
    assert Gauge().figures() == dict.fromkeys(SUMS, 0.0)


def test_requests_and_tokens_add_up_and_further_tries_are_no_requests() -> None:
    gauge = Gauge()
    first = replace(usage_record(1), attempt=0, tokens_in=5, tokens_cached=2, tokens_out=7)
    gauge.add([
        replace(first, status="ok"),
        replace(first, status="failed"),
        replace(first, status="interrupted", attempt=1),
        replace(first, status="cancelled"),
    ])  # fmt: skip
    found = gauge.figures()
    assert {name: found[name] for name in SUMS} == {
        "requests": 3,
        "failed": 2,
        "cancelled": 1,
        "tokens_in": 20,
        "tokens_cached": 8,
        "tokens_out": 28,
    }


def test_quantiles_are_those_of_answers_that_came_whole() -> None:
    gauge = Gauge()
    record = replace(usage_record(1), status="ok")
    gauge.add(replace(record, first_us=n * 10_000, total_us=n * 1_000_000) for n in range(1, 101))
    gauge.add([replace(record, status="failed", total_us=10**9)])
    found = gauge.figures()
    assert (found["first_p50_s"], found["first_p90_s"]) == (0.51, 0.91)
    assert (found["total_p50_s"], found["total_p99_s"]) == (51.0, 100.0)
    gauge.add(replace(record, first_us=1, total_us=2) for _ in range(MOST))
    assert gauge.figures()["total_p99_s"] == 2e-6


def test_what_goes_up_and_down_is_a_mean_and_what_is_not_measured_is_not_there() -> None:
    gauge = Gauge()
    gauge.see({"cpu_busy": 0.2, "hottest_c": None})
    gauge.see({"cpu_busy": 0.4, "hottest_c": 50.0})
    found = gauge.figures()
    assert (found["cpu_busy"], found["hottest_c"]) == (0.3, 50.0)
