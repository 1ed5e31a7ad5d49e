"""What a terminal shows while a run goes: a few lines, drawn again and again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from littoral.app.bench.message import OK, UNFINISHED, Row
from littoral.app.bench.result import Plan
from littoral.app.bench.summary import e2e, ttft
from littoral.planner.metrics import quantile

Say: TypeAlias = Callable[..., str]
"""A catalogue of sentences: key and values."""
BAR: Final = 32
BLOCKS: Final = "▁▂▃▄▅▆▇█"
SECONDS: Final = 48
LATEST: Final = 4000
"""Answers that the figures of the view are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The state of a run."""

    plan: Plan
    elapsed: float
    sent: int
    flight: int
    waiting: int
    rows: Sequence[Row]
    cpu: float


def duration(seconds: float) -> str:
    """A latency in three figures: ``0.43 ms``, ``18.2 ms``, ``1.25 s``."""
    if seconds >= 99.95:
        return f"{seconds:.0f} s"
    unit, value = ("ms", seconds * 1000) if seconds < 0.9995 else ("s", seconds)
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def lines(scene: Scene, say: Say) -> list[str]:
    """The whole view."""
    plan, rows = scene.plan, scene.rows
    recent = [row for row in rows[-LATEST:] if row.kind == OK]
    failed = sum(row.kind not in {OK, UNFINISHED} for row in rows)
    late = [row.sent - row.at for row in rows[-LATEST:] if row.sent is not None]
    per_second = _per_second(rows, scene.elapsed)
    texts = [
        _heading(scene, say),
        _bar(scene.elapsed, plan.duration),
        say(
            "bench.view.counts",
            sent=scene.sent,
            answered=sum(row.kind == OK for row in rows),
            failed=failed,
            flight=scene.flight,
        )
        + (say("bench.view.waiting", waiting=scene.waiting) if scene.waiting else ""),
    ]
    if plan.stream:
        texts.append(_latency(say("bench.name.ttft"), [ttft(row) for row in recent]))
    texts += [
        _latency(say("bench.name.e2e"), [e2e(row) for row in recent]),
        _latency(say("bench.name.delay"), late) + f"    CPU {scene.cpu:.0%}",
        f"{say('bench.view.pace')}  {_sparkline(per_second)}  {_pace(per_second)}",
    ]
    return texts


def _heading(scene: Scene, say: Say) -> str:
    plan = scene.plan
    return (
        f"{plan.model} · {plan.url} · {pace(plan, say)} · "
        f"{_clock(scene.elapsed)} / {_clock(plan.duration)}"
    )


def pace(plan: Plan, say: Say) -> str:
    """The load in words."""
    if plan.clients:
        return say("bench.pace.closed", count=plan.clients)
    if plan.trace:
        return say("bench.pace.trace", name=plan.trace, rate=f"{plan.rate:.3g}")
    more = f" (cv {plan.cv:g})" if plan.arrivals == "gamma" else ""
    return say(f"bench.pace.{plan.arrivals}", rate=f"{plan.rate:.4g}") + more


def _clock(seconds: float) -> str:
    whole = max(0, int(seconds))
    return f"{whole // 60:d}:{whole % 60:02d}"


def _bar(elapsed: float, total: float) -> str:
    share = min(1.0, max(0.0, elapsed / total)) if total > 0 else 1.0
    filled = round(BAR * share)
    return f"[{'█' * filled}{'·' * (BAR - filled)}] {share:4.0%}"


def _latency(name: str, values: Sequence[float | None]) -> str:
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return f"{name}  -"
    shown = (f"p{rank} {duration(quantile(ordered, rank / 100))}" for rank in (50, 90, 99))
    return f"{name}  " + "   ".join(shown)


def _per_second(rows: Sequence[Row], elapsed: float) -> list[int]:
    """Answers in each of the last seconds that are over."""
    now = int(elapsed)
    first = max(0, now - SECONDS)
    found = [0] * (now - first)
    for row in rows:
        if row.kind == OK and row.last is not None and first <= int(row.last) < now:
            found[int(row.last) - first] += 1
    return found


def _sparkline(values: Sequence[int]) -> str:
    most = max([1, *values])
    return "".join(BLOCKS[min(7, 8 * value // (most + 1))] for value in values)


def _pace(values: Sequence[int]) -> str:
    latest = values[-5:]
    return f"{sum(latest) / len(latest):.1f}/s" if latest else ""
