"""The plots of a report: distributions, every answer, the course of the run, the client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from littoral.app.bench.chart import Axis, Plot, linear, nine, nines
from littoral.app.bench.result import Figure, Result
from littoral.app.bench.view import Say, duration

MARKED = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
LOW = 190


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot of a page: heading, legend (class and name of each line), what it shows."""

    title: str
    legend: Sequence[tuple[str, str]]
    svg: str
    note: str


def second(value: float) -> str:
    """A tick of a time axis."""
    return f"{value:g} s"


def latency(value: float) -> str:
    """A tick of a latency."""
    return f"{value:g} s" if value >= 1 else f"{value * 1000:.4g} ms" if value else "0"


def number(value: float) -> str:
    """A tick of a count."""
    return f"{value:,.4g}"


def distribution(found: Result, say: Say) -> Panel:
    """Latency by percentile, from the schedule and from the actual send."""
    names = [name for name in ("ttft", "e2e") if found.figures[name].count]
    slo = {name.upper(): most for name, most in found.plan.slo.items() if name in names}
    lines = {name: found.figures[name] for name in names}
    later = {f"{name} sent": found.figures[f"{name}_sent"] for name in names}
    legend = [(name, say(f"bench.name.{name}")) for name in names]
    return Panel(
        title=say("bench.html.distribution"),
        legend=[*legend, ("sent", say("bench.html.sent"))],
        svg=by_percentile(lines | later, slo, title=say("bench.html.distribution")),
        note=say("bench.html.distribution.note"),
    )


def pieces(found: Result, say: Say) -> Panel:
    """Times between pieces and per token, by percentile."""
    names = [name for name in ("itl", "tpot") if found.figures[name].count]
    slo = {name.upper(): most for name, most in found.plan.slo.items() if name in names}
    return Panel(
        title=say("bench.html.pieces"),
        legend=[(name, say(f"bench.name.{name}")) for name in names],
        svg=by_percentile(
            {name: found.figures[name] for name in names}, slo, title=say("bench.html.pieces")
        ),
        note=say("bench.html.pieces.note"),
    )


def client(found: Result, say: Say) -> Panel:
    """How late the client itself was."""
    allowed = {say("bench.html.allowed"): found.health.allowed}
    return Panel(
        title=say("bench.html.client"),
        legend=[("delay", say("bench.name.delay"))],
        svg=by_percentile(
            {"delay": found.figures["delay"]}, allowed, title=say("bench.html.client")
        ),
        note=say("bench.html.client.note"),
    )


def by_percentile(figures: Mapping[str, Figure], bounds: Mapping[str, float], *, title: str) -> str:
    """Curves of quantiles over an axis of nines; each key is the class of its line.

    Args:
        figures: By the class of their line.
        bounds: Level lines, by name.
        title: For those who hear it.
    """
    count = max((figure.count for figure in figures.values()), default=1)
    tops = [figure.curve[-1][1] for figure in figures.values() if figure.curve]
    most = max([*tops, *(value for value in bounds.values() if value < 2 * max(tops, default=1))])
    plot = Plot(nines(count), linear(most, latency), title=title)
    for name, value in bounds.items():
        plot.bound(value, text=f"{name} {duration(value)}")
    for kind, figure in figures.items():
        plot.line(((nine(rank), value) for rank, value in figure.curve), kind=kind)
    for name, rank in MARKED.items():
        values = {
            kind: found.value
            for kind, figure in figures.items()
            if "sent" not in kind and (found := figure.percentiles[name]) is not None
        }
        for kind, value in values.items():
            below = value < max(values.values())
            plot.mark(nine(rank), value, text=duration(value), kind=kind, below=below)
    return plot.svg()


def answers(found: Result, say: Say) -> Panel:
    """Every answer as a dot: when it was due, how long it took."""
    metric = "ttft" if found.plan.stream else "e2e"
    slo = found.plan.slo.get(metric)
    tops = sorted(value for _, value, _ in found.dots)
    most = tops[-1] if tops else 1.0
    plot = Plot(
        _time(found), linear(max(most, slo or 0.0), latency), title=say("bench.html.answers")
    )
    plot.shade(0.0, found.steady.warmup, text=say("bench.html.warmup"))
    for state, kind in ((0, "early"), (1, metric), (2, "missed")):
        plot.dots(((at, value) for at, value, of in found.dots if of == state), kind=kind)
    if slo is not None:
        plot.bound(slo, text=f"{metric.upper()} {duration(slo)}")
    legend = [(metric, say("bench.html.good") if found.plan.slo else say(f"bench.name.{metric}"))]
    if found.plan.slo:
        legend.append(("missed", say("bench.html.missed")))
    return Panel(
        title=say("bench.html.answers"),
        legend=[*legend, ("early", say("bench.html.warmup"))],
        svg=plot.svg(),
        note=say("bench.html.answers.note", name=say(f"bench.name.{metric}")),
    )


def course(found: Result, say: Say) -> Panel:
    """Arrivals, answers and failures a second."""
    line = found.timeline
    rates = {
        "arrived": [value / line.step for value in line.arrivals],
        "answered": [value / line.step for value in line.answers],
        "missed": [value / line.step for value in line.failures],
    }
    most = max([1.0, *(value for values in rates.values() for value in values)])
    plot = Plot(_time(found), linear(most, number), title=say("bench.html.course"), height=LOW)
    plot.shade(0.0, found.steady.warmup)
    kinds = ["arrived", "answered", *(["missed"] if any(line.failures) else [])]
    for kind in kinds:
        plot.line(_steps(rates[kind], line.step), kind=kind)
    return Panel(
        title=say("bench.html.course"),
        legend=[(kind, say(f"bench.html.{kind}.rate")) for kind in kinds],
        svg=plot.svg(),
        note=say("bench.html.course.note", step=second(line.step)),
    )


def flight(found: Result, say: Say) -> Panel:
    """Requests under way."""
    line = found.timeline
    most = max([1, *line.flight])
    plot = Plot(_time(found), linear(most, number), title=say("bench.html.flight"), height=LOW)
    plot.shade(0.0, found.steady.warmup)
    points = [((place + 1) * line.step, float(value)) for place, value in enumerate(line.flight)]
    plot.area([(0.0, 0.0), *points], kind="flying")
    plot.line([(0.0, 0.0), *points], kind="flying")
    mean, top = found.flight
    return Panel(
        title=say("bench.html.flight"),
        legend=[("flying", say("bench.html.flying"))],
        svg=plot.svg(),
        note=say("bench.html.flight.note", mean=f"{mean:.1f}", most=top),
    )


def _time(found: Result) -> Axis:
    line = found.timeline
    return linear(max(found.steady.end, line.step * len(line.arrivals)), second)


def _steps(values: Sequence[float], step: float) -> list[tuple[float, float]]:
    return [((place + 0.5) * step, value) for place, value in enumerate(values)]


def panels(found: Result, say: Say) -> list[Panel]:
    """All plots of a run that has something to show."""
    makers = [distribution, answers]
    if found.figures["itl"].count:
        makers.append(pieces)
    makers += [client, course, flight]
    return [make(found, say) for make in makers]
