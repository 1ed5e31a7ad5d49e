"""Many runs of one load at rising rates: what a service can take, as lines and as a page."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from littoral.app.bench.chart import Plot, linear
from littoral.app.bench.plots import Panel, latency, number
from littoral.app.bench.report import objectives
from littoral.app.bench.result import FORMAT, Figure, Result
from littoral.app.bench.search import Point, Verdict, best
from littoral.app.bench.sheet import card, document, drawn, footer, value_of
from littoral.app.bench.view import Say, duration
from littoral.planner.metrics import quantile

HEADS = ("rate", "answers", "tokens", "ttft", "ttft", "e2e", "e2e", "good", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All runs of a sweep.

    Args:
        runs: In the order in which they were made.
        verdicts: One for each.
        best: The highest rate that the service can take; None where none was found.
        target: Share of arrivals that had to meet every objective.
    """

    runs: list[Result]
    verdicts: list[Verdict]
    best: float | None
    target: float
    format: int = FORMAT

    def ordered(self) -> list[tuple[Result, Verdict]]:
        """Runs and verdicts by rate."""
        pairs = zip(self.runs, self.verdicts, strict=True)
        return sorted(pairs, key=lambda pair: pair[0].plan.rate)


def swept(runs: Sequence[Result], points: Sequence[Point], *, target: float) -> Sweep:
    """The record of a sweep."""
    verdicts: list[Verdict] = [point.verdict for point in points]
    return Sweep(runs=list(runs), verdicts=verdicts, best=best(points), target=target)


def heads(say: Say) -> tuple[str, ...]:
    """Titles of the columns of a table of runs."""
    names = [say(f"bench.sweep.{name}") for name in HEADS]
    names[3:7] = ["TTFT p50", "TTFT p99", "E2E p50", "E2E p99"]
    return tuple(names)


def cells(found: Result, verdict: Verdict, say: Say) -> tuple[str, ...]:
    """One run as a row of that table."""
    ttft, e2e = found.figures["ttft"].percentiles, found.figures["e2e"].percentiles
    return (
        f"{found.plan.rate:.4g}",
        f"{found.rates.answers:.4g}",
        f"{found.rates.tokens_out:,.0f}",
        *(value_of(each) for each in (ttft["p50"], ttft["p99"], e2e["p50"], e2e["p99"])),
        "–" if found.goodput is None else f"{found.goodput.share.value:.1%}",
        say(f"bench.sweep.{verdict}"),
    )


def conclusion(found: Sweep, say: Say) -> str:
    """What the sweep found, in a sentence."""
    slo = objectives(found.runs[0].plan.slo)
    limit = f" {say('bench.sweep.limit')}" if found.verdicts[-1] == "client" else ""
    if found.best is None:
        return say("bench.sweep.nothing") + limit
    rate = f"{found.best:.4g}"
    if not slo:
        return say("bench.sweep.capacity", rate=rate) + limit
    share = f"{found.target * 100:.4g}%"
    return say("bench.sweep.found", rate=rate, share=share, slo=slo) + limit


def page(found: Sweep, say: Say) -> str:
    """The whole sweep as one HTML file."""
    plan = found.runs[0].plan
    title = say("bench.html.title", model=plan.model)
    kind = "good" if found.best is not None else "doubtful"
    told = escape(conclusion(found, say))
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(run, verdict, say)) + "</tr>"
        for run, verdict in found.ordered()
    )
    top = "".join(f'<th scope="col">{escape(head)}</th>' for head in heads(say))
    body = (
        f"<header><h1>{escape(plan.model)}</h1><p>{escape(f'{plan.url} · {plan.endpoint}')}</p>"
        f'</header><section class="verdict {kind}"><p><strong>{told}</strong></p></section>'
        f'<section class="cards">{"".join(_cards(found, say))}</section>'
        f'<section class="plots">{"".join(map(drawn, _panels(found, say)))}</section>'
        f'<section class="table"><h2>{escape(say("bench.html.table"))}</h2><table><thead><tr>{top}'
        f"</tr></thead><tbody>{rows}</tbody></table></section>{footer(found.runs[0].version, say)}"
    )
    return document(title, body, say)


def _cards(found: Sweep, say: Say) -> Iterator[str]:
    chosen = next((run for run in found.runs if run.plan.rate == found.best), None)
    if chosen is None:
        return
    yield card(say("bench.sweep.best"), f"{found.best:.4g}/s", objectives(chosen.plan.slo))
    for name in ("ttft", "e2e"):
        figure = chosen.figures[name]
        if figure.count:
            p99 = figure.percentiles["p99"]
            below = f"p99 {value_of(p99)}"
            yield card(say(f"bench.name.{name}"), value_of(figure.percentiles["p50"]), "p50", below)
    yield card(say("bench.html.tokens"), f"{chosen.rates.tokens_out:,.0f}/s")


def _panels(found: Sweep, say: Say) -> Iterator[Panel]:
    yield _latencies(found, say)
    yield _throughput(found, say)


def _latencies(found: Sweep, say: Say) -> Panel:
    """Latency by rate: medians and 99th percentiles of what was sent."""
    metric = "ttft" if found.runs[0].plan.stream else "e2e"
    runs = [run for run, _ in found.ordered()]
    lines = {
        "answered": _points(runs, metric, lambda figure: _rank(figure, 0.5)),
        metric: _points(runs, metric, lambda figure: _rank(figure, 0.99)),
    }
    slo = runs[0].plan.slo.get(metric)
    most = max([slo or 0.0, *(y for points in lines.values() for _, y in points), 1e-3])
    title = say("bench.sweep.latency", name=say(f"bench.name.{metric}"))
    plot = Plot(
        linear(runs[-1].plan.rate, number), linear(min(most, _cap(slo, most)), latency), title=title
    )
    for kind, points in lines.items():
        plot.line(points, kind=kind)
        plot.dots(points, kind=kind)
    if slo is not None:
        plot.bound(slo, text=f"{metric.upper()} {duration(slo)}")
    names = [(kind, name) for kind, name in zip(lines, ("p50", "p99"), strict=True)]
    return Panel(title=title, legend=names, svg=plot.svg(), note=say("bench.sweep.latency.note"))


def _cap(slo: float | None, most: float) -> float:
    """With an objective there is nothing to see far above it."""
    return most if slo is None else 3 * slo


def _points(
    runs: Sequence[Result], metric: str, pick: Callable[[Figure], float]
) -> list[tuple[float, float]]:
    return [(run.plan.rate, pick(run.figures[metric])) for run in runs if run.figures[metric].count]


def _rank(figure: Figure, rank: float) -> float:
    """A percentile as it was seen, withheld or not: a plot shows the direction."""
    near = [value for at, value in figure.curve if at <= rank]
    return near[-1] if near else quantile([value for _, value in figure.curve], rank)


def _throughput(found: Sweep, say: Say) -> Panel:
    """What was answered, and what of it was good, by rate."""
    runs = [run for run, _ in found.ordered()]
    answers = [(run.plan.rate, run.rates.answers) for run in runs]
    good = [(run.plan.rate, run.goodput.rate.value) for run in runs if run.goodput is not None]
    most = max([rate for rate, _ in answers] + [value for _, value in answers])
    title = say("bench.sweep.throughput")
    plot = Plot(linear(runs[-1].plan.rate, number), linear(most, number), title=title)
    plot.line([(0.0, 0.0), (most, most)], kind="sent")
    for kind, points in (("answered", answers), ("ttft", good)):
        plot.line(points, kind=kind)
        plot.dots(points, kind=kind)
    legend = [
        ("answered", say("bench.html.answered.rate")),
        ("sent", say("bench.html.arrived.rate")),
    ]
    if good:
        legend.insert(0, ("ttft", say("bench.html.goodput")))
    return Panel(
        title=title, legend=legend, svg=plot.svg(), note=say("bench.sweep.throughput.note")
    )
