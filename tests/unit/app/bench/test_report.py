"""What people see of a run: lines, a page, a comparison, a view while it goes."""

import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from littoral.app.bench import report
from littoral.app.bench.chart import Plot, linear, nine, nines
from littoral.app.bench.compare import compared
from littoral.app.bench.crew import Harvest
from littoral.app.bench.html import page
from littoral.app.bench.message import UNFINISHED
from littoral.app.bench.plots import latency
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import Result
from littoral.app.bench.run import Wish, conditions, result
from littoral.app.bench.trace import read
from littoral.app.bench.view import Scene, duration, lines
from littoral.app.command.messages import Messages
from littoral.domain.units import Micros
from unit.app.bench.records import made, plan, row, steady_rows

EN, ZH = Messages("en"), Messages("zh")


def text(found, say=EN):
    return "\n".join(report.lines(found, say))


class Reader(HTMLParser):
    """Notes tags that are not closed, and what a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "link", "br", "img", "input"}:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def test_a_result_is_read_back_as_it_was_written():
    found = made()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Result) == found


@pytest.mark.parametrize("say", [EN, ZH], ids=["en", "zh"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_page_is_whole_and_loads_nothing(say, stream):
    found = page(made(stream=stream, slo={"e2e": 0.6}), say)
    reader = Reader()
    reader.feed(found)
    assert (reader.open, reader.loads) == ([], [])
    assert "<script" not in found
    assert "url(" not in found
    assert found.count("<svg") >= 5


def test_a_page_says_in_its_language_what_was_measured():
    assert "Good requests" in page(made(), EN)
    assert "达标请求" in page(made(), ZH)
    assert 'lang="zh-CN"' in page(made(), ZH)


def test_what_a_service_says_cannot_write_into_the_page_or_the_terminal():
    bad = row(20.0, kind="http 500")
    bad.detail = "<script>alert(1)</script>\x1b[2J"
    found = made([*steady_rows(), bad], model="<img src=x>", trace="<img>.csv")
    assert "<script>" not in page(found, EN)
    assert "<img" not in page(found, EN)
    assert "\x1b" not in text(found)


def test_doubts_stand_before_the_figures():
    late = text(made(steady_rows(late=0.5)))
    assert late.index("NOT VALID") < late.index("p99")
    assert "use more --workers" in late
    assert "结果无效" in text(made(steady_rows(late=0.5)), ZH)
    assert "NOT VALID" not in text(made())


def test_every_doubt_has_its_words_in_both_languages():
    rows = [row(n / 10, ttft=0.1 + n / 500, e2e=3.0, late=0.5) for n in range(300)]
    rows += [row(30.0, kind="timeout"), row(31.0, kind=UNFINISHED)]
    harvest = Harvest(workers=1, rows=rows, lags=[1.0], cpu={0: 90.0}, lost="x", stopped=True)
    wish = Wish(plan=plan(duration=30.0), arrivals=[], scale=Scale(), key="", warmup=0.0)
    found = result(wish, harvest, conditions=conditions(Scale()), began=Micros(0))
    assert set(found.health.doubts) == {
        *("late", "lag", "busy", "worker", "partial", "saturated", "few", "errors")
    }
    for say in (EN, ZH):
        assert "{" not in text(found, say)
        assert "bad" in page(found, say)


def test_the_figures_and_their_intervals_are_in_the_lines():
    told = text(made())
    assert re.search(r"TTFT, first token +100 ms +100 ms", told)
    assert "±" in told
    assert "100.0% of arrivals" in told
    assert "TTFT ≤ 200 ms" in told


def test_two_results_are_the_same_where_their_intervals_overlap():
    one, other = made(), made(steady_rows(ttft=0.2))
    rows = {each.name: each for each in compared(one, other).rows}
    assert rows["ttft p99"].judgement == "worse"
    assert rows["ttft p99"].ratio == pytest.approx(2.0)
    assert rows["e2e p50"].judgement == "same"
    assert {each.judgement for each in compared(one, one).rows} == {"same"}
    back = {each.name: each for each in compared(other, one).rows}
    assert back["ttft p50"].judgement == "better"


def test_a_difference_within_the_intervals_is_none():
    one, other = (
        made([row(n / 10, ttft=0.1 + n % 97 / 1000 + more, e2e=1.0) for n in range(1000)])
        for more in (0.0, 0.001)
    )
    rows = {each.name: each for each in compared(one, other).rows}
    assert rows["ttft p50"].second.value > rows["ttft p50"].first.value
    assert rows["ttft p50"].judgement == "same"


def test_more_good_requests_are_better():
    half = steady_rows(500) + [row(50 + n / 10, ttft=0.3) for n in range(500)]
    rows = {each.name: each for each in compared(made(half), made()).rows}
    assert rows["attainment"].judgement == "better"
    few = {each.name: each for each in compared(made(steady_rows(150)), made()).rows}
    assert few["ttft p99"].judgement == "unknown"


def test_a_comparison_says_what_differs_in_the_plans_and_which_run_is_invalid():
    found = compared(made(), made(steady_rows(late=0.5), rate=20.0))
    assert found.differ == {"rate": ("10", "20")}
    told = "\n".join(report.beside(found, EN))
    assert "different: rate: 10 | 20" in told
    assert "not valid" in told
    assert "no difference" in told


def test_rows_are_written_as_a_trace_that_can_be_replayed():
    written = b"".join(report.row_lines([row(1.5), row(0.5, kind="timeout")]))
    rows = [json.loads(line) for line in written.splitlines()]
    assert [each["outcome"] for each in rows] == ["timeout", "ok"]
    again = read(written.decode(), name="rows")
    assert [(each.at, each.tokens_in, each.tokens_out) for each in again] == [
        (0.0, 20, 5),
        (1.0, 22, 5),
    ]


def scene(rows, **given):
    usual = {"elapsed": 5.0, "sent": 60, "flight": 3, "waiting": 0, "cpu": 0.05}
    return Scene(plan=plan(**given), rows=rows, **usual)


def test_the_view_shows_counts_latencies_and_pace():
    told = "\n".join(lines(scene([*steady_rows(50), row(4.9, kind="timeout")]), EN))
    assert "sent 60   answered 50   failed 1   under way 3" in told
    assert "p99 100 ms" in told
    assert "50%" in told
    assert "█" in told


def test_the_view_of_a_run_without_an_answer_is_no_error():
    assert any("-" in line for line in lines(scene([]), ZH))


def test_each_kind_of_load_has_its_words():
    kinds = [
        {"arrivals": "gamma", "cv": 2.0},
        {"arrivals": "constant"},
        {"arrivals": "trace", "trace": "a.csv"},
        {"arrivals": "closed", "clients": 4},
    ]
    told = [lines(scene([], **kind), EN)[0] for kind in kinds]
    words = ["cv 2", "constant", "a.csv", "4 clients"]
    assert [word for word, line in zip(words, told, strict=True) if word not in line] == []


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.00043, "0.43 ms"),
        (0.0182, "18.2 ms"),
        (0.4321, "432 ms"),
        (1.25, "1.25 s"),
        (250, "250 s"),
    ],
)
def test_a_latency_is_told_in_three_figures(seconds, shown):
    assert duration(seconds) == shown


def test_an_axis_has_round_ticks_within_its_ends():
    axis = linear(0.43, latency)
    assert [name for _, name in axis.ticks] == ["0", "100 ms", "200 ms", "300 ms", "400 ms"]
    assert (axis.share(0.0), axis.share(-5), axis.share(9)) == (0.0, 0.0, 1.0)
    assert latency(1.5) == "1.5 s"


def test_nines_are_equally_far_apart():
    axis = nines(5000)
    places = [axis.share(nine(rank)) for rank in (0.9, 0.99, 0.999)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1])
    assert [name for _, name in axis.ticks] == ["min", "p50", "p90", "p99", "p99.9"]


def test_what_is_outside_a_plot_is_not_drawn():
    plot = Plot(nines(100), linear(1.0, latency), title="<t>")
    plot.bound(5.0, text="far")
    plot.line([], kind="x")
    plot.dots([], kind="x")
    plot.area([], kind="x")
    assert "far" not in plot.svg()
    assert "&lt;t&gt;" in plot.svg()
