"""``littoral bench sweep``: find the rate that a service can take."""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cyclopts import Parameter

from littoral.app.bench import sweep as sweeps
from littoral.app.bench.result import Result
from littoral.app.bench.search import Point, following, judged
from littoral.app.command.bench import INTERRUPTED, KEEP, Keep, measured, ready, writable
from littoral.app.command.bench_wish import RATE, SHAPE, TRAFFIC, Shape, Traffic, check, wish
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.site import service
from littoral.domain.errors import InvalidInput


@Parameter(name="*", group="How to search")
@dataclass(frozen=True, kw_only=True)
class Seek:
    """The search; --rate is where it begins.

    Args:
        steps: How many more rates to try once one was too much.
        target: Share of requests that must meet every objective of --slo.
        key_file: File with the API key; LITTORAL_KEY and LITTORAL_KEY_FILE say the same.
    """

    steps: int = 4
    target: float = 0.99
    key_file: Path | None = None


SEEK = Seek()


def sweep(
    model: str | None = None,
    /,
    *,
    seek: Seek = SEEK,
    traffic: Traffic = TRAFFIC,
    shape: Shape = SHAPE,
    keep: Keep = KEEP,
    reach: Reach = HERE,
) -> int:
    """Double the rate until it is too much, then halve the gap; --duration is that of each run.

    Args:
        model: The model; may be left out where there is only one.
        seek: How to search.
        traffic: When requests are sent.
        shape: What they ask for.
        keep: Files to write.
        reach: Which service.
    """
    shown = screen(as_json=reach.json)
    check(traffic, shape)
    refuse(seek, traffic, keep)
    writable(keep)
    whom = service(reach, seek.key_file)
    asked = ready(whom, model, traffic=traffic, shape=shape)
    name, scale = asked.plan.model, asked.scale
    runs: list[Result] = []
    points: list[Point] = []
    rate = following(points, first=traffic.rate or RATE, steps=seek.steps)
    while rate is not None:
        now = replace(traffic, rate=rate)
        asked = wish(now, shape, model=name, target=whom, scale=scale)
        found, harvest = measured(asked, shown)
        if not harvest.stopped:
            runs.append(found)
            points.append(Point(rate=rate, verdict=judged(found, target=seek.target)))
            _progress(shown, found, points[-1])
        rate = None if harvest.stopped else following(points, first=rate, steps=seek.steps)
    return _told(shown, keep, sweeps.swept(runs, points, target=seek.target))


def refuse(seek: Seek, traffic: Traffic, keep: Keep) -> None:
    """Refuse what makes no sense in a sweep.

    Raises:
        InvalidInput: With the option's name and what it may be.
    """
    if traffic.trace or traffic.concurrency:
        raise InvalidInput("a sweep changes --rate: it has neither --trace nor --concurrency")
    if not 0 <= seek.steps <= 20:
        raise InvalidInput(f"--steps must be 0 to 20, not {seek.steps}")
    if not 0 < seek.target <= 1:
        raise InvalidInput(f"--target must be above 0 and at most 1, not {seek.target:g}")
    if keep.rows:
        raise InvalidInput("--rows is for one run: littoral bench run")


def _progress(shown: Screen, found: Result, point: Point) -> None:
    """One run, as soon as it is over."""
    cells = sweeps.cells(found, point.verdict, shown.say)
    shown.note("bench.sweep.run", rate=cells[0], answers=cells[1], verdict=cells[-1])


def _told(shown: Screen, keep: Keep, found: sweeps.Sweep) -> int:
    """Write the files, say the result; returns the exit status."""
    if not found.runs:
        return INTERRUPTED
    if keep.out is not None:
        keep.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    if keep.html is not None:
        keep.html.write_text(sweeps.page(found, shown.say), "utf-8")
    for file in filter(None, (keep.out, keep.html)):
        shown.note("bench.wrote", file=str(file))
    shown.json(plain(found))
    rows = [sweeps.cells(run, verdict, shown.say) for run, verdict in found.ordered()]
    shown.rows(sweeps.heads(shown.say), rows, right=range(8))
    shown.line()
    shown.line(sweeps.conclusion(found, shown.say))
    return 0 if found.best is not None else 1
