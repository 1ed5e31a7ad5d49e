"""From rows to figures: windows, definitions, doubts, goodput, time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.bench import summary
from littoral.app.bench.message import UNFINISHED
from littoral.app.bench.summary import Client, summed
from littoral.app.bench.timeline import dots, most_in_flight, timeline
from unit.app.bench.records import plan, row, steady_rows

FIT = Client(lags=[0.0001] * 100, cpu=0.1)
LONG = plan(duration=100.0, requests=1000)


def run(rows, *, asked=LONG, warmup=0.0, client=FIT):
    return summed(asked, rows, warmup=warmup, client=client)


def test_each_metric_is_what_its_definition_says():
    one = row(2.0, ttft=0.25, e2e=1.05, late=0.05, gaps=(0.1, 0.4, 0.2, 0.1))
    assert summary.ttft(one) == pytest.approx(0.25)
    assert summary.e2e(one) == pytest.approx(1.05)
    assert summary.tpot(one) == pytest.approx(0.8 / 4)
    assert summary.longest_gap(one) == pytest.approx(0.4)


def test_a_single_token_has_no_time_per_token_and_no_gap():
    one = row(gaps=(), tokens=1)
    assert summary.tpot(one) is None
    assert summary.longest_gap(one) is None


def test_latency_counts_from_the_schedule_and_beside_it_from_the_send():
    found = run(steady_rows(late=0.04)).figures
    assert found["ttft"].percentiles["p99"].value == pytest.approx(0.1)
    assert found["ttft_sent"].percentiles["p99"].value == pytest.approx(0.06)
    assert found["delay"].percentiles["p50"].value == pytest.approx(0.04)
    assert found["itl"].count == 4000


def test_few_samples_have_no_high_percentile():
    found = run(steady_rows(100)).figures["ttft"].percentiles
    assert found["p90"] is not None
    assert (found["p95"], found["p99"], found["p99.9"]) == (None, None, None)


def test_a_given_warm_up_stands_and_the_window_leaves_it_out():
    found = run(steady_rows(), warmup=30.0)
    assert found.steady.warmup == 30.0
    assert found.counts.window == 700


def test_without_one_a_fifth_is_left_out_or_until_the_start_up_is_over():
    calm = run(steady_rows(), warmup=None)
    assert 20.0 <= calm.steady.warmup <= 21.0
    slow = [row(place / 10, ttft=3.0 - place / 100) for place in range(290)]
    found = run([*slow, *steady_rows()[290:]], warmup=None)
    assert 28.0 <= found.steady.warmup <= 50.0


def test_a_slow_answer_of_the_beginning_moves_the_window_but_not_beyond_the_half():
    rows = steady_rows()
    rows[0] = row(0.0, ttft=40.0, e2e=41.0)
    assert run(rows, warmup=None).steady.warmup == pytest.approx(41.0)
    rows[0] = row(0.0, ttft=80.0, e2e=99.0)
    assert run(rows, warmup=None).steady.warmup == pytest.approx(50.0, rel=0.01)


def test_a_growing_queue_is_said_and_has_no_percentile_above_the_median():
    rows = [row(place / 10, ttft=0.1 + place / 500, e2e=3.0) for place in range(1000)]
    found = run(rows)
    assert found.steady.grows
    assert found.steady.slope == pytest.approx(0.02, rel=0.01)
    assert found.figures["ttft"].percentiles["p99"] is None
    assert found.figures["ttft"].percentiles["p50"] is not None
    assert "saturated" in found.health.doubts
    assert not run(steady_rows()).steady.grows


def test_a_closed_loop_and_a_slow_drift_are_no_growing_queue():
    rows = [row(place / 10, ttft=0.1 + place / 500, e2e=3.0) for place in range(1000)]
    assert not run(rows, asked=plan(duration=100.0, clients=4)).steady.grows
    drift = [row(place / 10, ttft=0.1 + place / 50000, e2e=3.0) for place in range(1000)]
    assert not run(drift).steady.grows


def test_failures_are_counted_by_kind_and_are_misses():
    rows = steady_rows(900) + [row(90 + n / 10, kind="http 429") for n in range(90)]
    rows += [row(99.5, kind="timeout")]
    found = run(rows, asked=plan(duration=100.0, slo={"ttft": 0.2}))
    assert [(fault.kind, fault.count) for fault in found.faults] == [
        ("http 429", 90),
        ("timeout", 1),
    ]
    assert found.faults[0].example == "why http 429"
    assert (found.counts.answered, found.counts.failed) == (900, 91)
    assert found.goodput.share.value == pytest.approx(900 / 991)
    assert found.figures["ttft"].count == 900


def test_goodput_needs_every_objective():
    rows = steady_rows(500) + [row(50 + n / 10, ttft=0.3) for n in range(500)]
    found = run(rows, asked=plan(duration=100.0, slo={"ttft": 0.2, "e2e": 1.0, "tpot": 0.2}))
    assert found.goodput.share.value == pytest.approx(0.5)
    assert found.goodput.rate.value == pytest.approx(5.0, rel=0.01)
    assert run(rows).goodput is None


def test_unfinished_requests_are_neither_good_nor_bad():
    rows = [*steady_rows(100), row(10.0, kind=UNFINISHED)]
    found = run(rows, asked=plan(slo={"ttft": 1.0}), client=Client(lags=[], cpu=0, partial=True))
    assert (found.counts.unfinished, found.counts.failed) == (1, 0)
    assert found.goodput.share.value == 1.0
    assert "partial" in found.health.doubts
    assert found.health.valid


@pytest.mark.parametrize(
    ("client", "late", "doubt"),
    [
        (FIT, 0.02, "late"),
        (Client(lags=[0.02] * 100, cpu=0.1), 0.001, "lag"),
        (Client(lags=[], cpu=0.8), 0.001, "busy"),
        (Client(lags=[], cpu=0.1, lost=True), 0.001, "worker"),
    ],
)
def test_an_unfit_client_makes_the_run_invalid(client, late, doubt):
    found = run(steady_rows(late=late), client=client).health
    assert not found.valid
    assert found.doubts == [doubt]


def test_a_fit_client_is_believed_and_lateness_is_judged_by_the_latency():
    assert run(steady_rows()).health.doubts == []
    slow = run(steady_rows(late=0.015, ttft=1.0, e2e=2.0)).health
    assert slow.valid
    assert slow.allowed == pytest.approx(0.02)
    assert slow.delay == pytest.approx(0.015)


def test_a_closed_loop_cannot_be_late():
    rows = steady_rows(late=0.02)
    assert run(rows, asked=plan(duration=100.0, clients=4, arrivals="closed")).health.valid


def test_a_client_of_few_requests_is_judged_by_its_worst():
    rows = steady_rows(50)
    rows[7] = row(0.7, late=0.5)
    assert run(rows).health.delay == pytest.approx(0.5)


def test_rates_are_those_of_the_window():
    found = run(steady_rows(), warmup=50.0).rates
    assert found.arrivals == pytest.approx(10.0, rel=0.01)
    assert found.answers == pytest.approx(10.0, rel=0.02)
    assert found.tokens_out == pytest.approx(50.0, rel=0.02)


def test_tokens_are_summed_over_the_window():
    found = run(steady_rows(100)).tokens
    assert (found.asked_in, found.tokens_in, found.tokens_out, found.cached) == (
        2000,
        2200,
        500,
        300,
    )
    assert (found.requests, found.counted) == (100, 100)


def test_nothing_answered_is_a_result_too():
    found = run([row(kind="no connection")] * 10, warmup=None)
    assert found.counts.failed == 10
    assert found.figures["ttft"].curve == []
    assert run([]).counts.sent == 0


def test_answers_in_one_piece_are_judged_by_their_end():
    rows = [row(n / 10, e2e=0.1 + n / 500) for n in range(1000)]
    for each in rows:
        each.first = None
    assert run(rows, asked=plan(duration=100.0, stream=False)).steady.grows


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0.001, 30)), min_size=1, max_size=200))
def test_a_timeline_loses_no_request(spans):
    rows = [row(at, ttft=long / 2, e2e=long) for at, long in spans]
    found = timeline(rows, end=50.0)
    assert sum(found.arrivals) == sum(found.answers) == len(rows)
    assert sum(found.tokens) == 5 * len(rows)
    assert min(found.flight) >= 0
    assert found.flight[-1] == 0
    assert len(found.arrivals) <= 122


def test_requests_under_way_at_once_are_counted():
    rows = [row(0.0, e2e=3.0), row(1.0, e2e=3.0), row(2.0, e2e=0.5), row(5.0, kind=UNFINISHED)]
    assert most_in_flight(rows) == 3


def test_dots_are_thinned_and_know_warm_up_good_and_missed():
    rows = [row(0.0), row(5.0), row(6.0, ttft=0.4)]
    asked = plan(slo={"ttft": 0.2})
    assert [state for _, _, state in dots(asked, rows, begin=1.0)] == [0, 1, 2]
    assert len(dots(asked, steady_rows(5001), begin=0.0)) <= 2000
