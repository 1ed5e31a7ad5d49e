"""A result as one HTML file: no network, no script, light and dark."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape

from littoral.app.bench.plots import panels
from littoral.app.bench.report import doubted, objectives
from littoral.app.bench.result import Result
from littoral.app.bench.sheet import card, document, drawn, footer, margin_of, value_of
from littoral.app.bench.view import Say, duration, pace

LATENCIES = ("ttft", "itl", "tpot", "e2e", "ttft_sent", "e2e_sent", "delay")
COLUMNS = ("p50", "p90", "p95", "p99", "p99.9")
GRAVE = {"late", "lag", "busy", "worker", "saturated", "partial"}


def page(found: Result, say: Say) -> str:
    """The whole file."""
    title = say("bench.html.title", model=found.plan.model)
    body = "\n".join(
        (
            _head(found, say),
            _verdict(found, say),
            f'<section class="cards">{"".join(_cards(found, say))}</section>',
            f'<section class="plots">{"".join(map(drawn, panels(found, say)))}</section>',
            _table(found, say),
            _faults(found, say),
            f'<section class="facts">{_asked(found, say)}{_machine(found, say)}</section>',
            footer(found.version, say),
        )
    )
    return document(title, body, say)


def _head(found: Result, say: Say) -> str:
    at = datetime.fromtimestamp(found.began_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
    plan = found.plan
    told = f"{pace(plan, say)} · {plan.url} · {plan.endpoint} · {at}"
    return f"<header><h1>{escape(plan.model)}</h1><p>{escape(told)}</p></header>"


def _verdict(found: Result, say: Say) -> str:
    doubts = found.health.doubts
    grave = GRAVE.intersection(doubts)
    kind = "bad" if not found.health.valid else "doubtful" if grave else "good"
    told = say(f"bench.html.verdict.{kind}")
    items = "".join(f"<li>{escape(doubted(found, doubt, say))}</li>" for doubt in doubts)
    more = f"<ul>{items}</ul>" if items else ""
    late = "late" in doubts
    check = say(
        "bench.html.check.late" if late else "bench.html.check",
        delay=duration(found.health.delay),
        allowed=duration(found.health.allowed),
        cpu=f"{found.health.cpu:.0%}",
    )
    return (
        f'<section class="verdict {kind}"><p><strong>{escape(told)}</strong> {escape(check)}</p>'
        f"{more}</section>"
    )


def _cards(found: Result, say: Say) -> Iterator[str]:
    for name in ("ttft", "e2e") if found.plan.stream else ("e2e",):
        middle = found.figures[name].percentiles["p50"]
        top = found.figures[name].percentiles["p99"]
        below = f"p99 {value_of(top)}" + (f" {margin_of(top)}" if top else "")
        yield card(say(f"bench.name.{name}"), value_of(middle), f"p50 {margin_of(middle)}", below)
    if found.goodput is not None:
        share = found.goodput.share
        about = f"{share.low:.1%} – {share.high:.1%} · {found.goodput.rate.value:.2f}/s"
        yield card(
            say("bench.html.goodput"), f"{share.value:.1%}", objectives(found.plan.slo), about
        )
    rates = found.rates
    yield card(
        say("bench.html.answers.rate"),
        f"{rates.answers:.3g}/s",
        say("bench.html.arrived.of", rate=f"{rates.arrivals:.3g}"),
        say("bench.html.failed", count=found.counts.failed, sent=found.counts.sent),
    )
    if rates.tokens_out:
        yield card(
            say("bench.html.tokens"),
            f"{rates.tokens_out:,.0f}/s",
            say("bench.html.tokens.in", rate=f"{rates.tokens_in:,.0f}"),
            say("bench.html.flight.mean", mean=f"{found.flight[0]:.1f}"),
        )


def _table(found: Result, say: Say) -> str:
    head = ["", say("bench.html.mean"), *COLUMNS, say("bench.samples")]
    rows: list[str] = []
    for name in LATENCIES:
        figure = found.figures[name]
        if figure.count:
            values = [figure.mean, *(figure.percentiles[column] for column in COLUMNS)]
            cells = "".join(
                f"<td>{value_of(each)}<small>{margin_of(each)}</small></td>" for each in values
            )
            label = escape(say(f"bench.name.{name}"))
            rows.append(f'<tr><th scope="row">{label}</th>{cells}<td>{figure.count:,}</td></tr>')
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    return (
        f'<section class="table"><h2>{escape(say("bench.html.table"))}</h2><table><thead><tr>'
        f"{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p>{escape(say('bench.html.table.note'))}</p></section>"
    )


def _faults(found: Result, say: Say) -> str:
    if not found.faults:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(fault.kind)}</th><td>{fault.count:,}</td>'
        f'<td class="text">{escape(fault.example)}</td></tr>'
        for fault in found.faults
    )
    return (
        f'<section class="table"><h2>{escape(say("bench.html.faults"))}</h2>'
        f"<table><tbody>{rows}</tbody></table></section>"
    )


def _asked(found: Result, say: Say) -> str:
    plan = found.plan
    manner = say("bench.html.stream" if plan.stream else "bench.html.whole")
    facts = [
        ("model", plan.model),
        ("endpoint", f"{plan.endpoint}, {manner}"),
        ("load", pace(plan, say)),
        ("duration", f"{plan.duration:g} s, {found.counts.sent:,}"),
        ("input", _lengths(plan.tokens_in, plan.share, plan.groups)),
        ("output", plan.tokens_out),
        ("slo", objectives(plan.slo) or "–"),
        ("timeout", f"{plan.timeout:g} s"),
        ("seed", f"{plan.seed}"),
        ("extra", str(plan.extra) if plan.extra else "–"),
    ]
    return _facts(say("bench.html.asked"), [(say(f"bench.html.{k}"), v) for k, v in facts])


def _lengths(text: str, share: float, groups: int) -> str:
    return f"{text}; {share:.0%} × {groups}" if share else text


def _machine(found: Result, say: Say) -> str:
    here, tokens = found.conditions, found.tokens
    told = say("bench.html.counted" if here.asked else "bench.html.guessed")
    facts = [
        ("cpu", f"{here.cpu}, {here.cores}"),
        ("system", here.system),
        ("busy", f"{here.load:.2f}"),
        ("workers", f"{found.plan.workers}; {found.health.cpu:.0%}"),
        (
            "window",
            f"{found.steady.warmup:.1f} – {found.steady.end:.1f} s, {found.counts.window:,}",
        ),
        ("prompt", f"{tokens.tokens_in:,} / {tokens.asked_in:,}, {told}"),
        ("cached", f"{tokens.cached:,}"),
        ("flights", f"{found.flight[0]:.1f} / {found.flight[1]}"),
    ]
    return _facts(say("bench.html.machine"), [(say(f"bench.html.{k}"), v) for k, v in facts])


def _facts(title: str, facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    return f"<div><h2>{escape(title)}</h2><dl>{rows}</dl></div>"
