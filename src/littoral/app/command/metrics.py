"""``littoral nodes metrics``: what a node measured of itself, by the minute."""

from collections.abc import Mapping

from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, moment, span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.app.system import SystemClock

HEAD = (
    *("SINCE", "SPAN", "REQUESTS", "FAILED", "IN", "OUT", "FIRST P50", "P90", "TOTAL P50"),
    *("ENGINES", "CPU", "MEMORY", "DISK", "HEAT"),
)


def metrics(name: str, /, *, minutes: int = 60, reach: Reach = HERE) -> None:
    """Show what a node measured: requests, tokens, times, engines, machine.

    Args:
        name: Its name or id.
        minutes: How far back.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    since = SystemClock().wall() - max(1, minutes) * 60_000_000
    with admin(reach) as control:
        found = control.metrics(name, since_us=since)
    shown.json({"metrics": plain(found)})
    if not found:
        shown.note("metrics.none")
        return
    rows = [(moment(each.at_us), span(each.span_s), *_cells(each.figures)) for each in found]
    shown.rows(HEAD, rows, right=tuple(range(1, len(HEAD))))


def _cells(figures: Mapping[str, float]) -> tuple[str, ...]:
    def whole(name: str) -> str:
        return count(round(figures.get(name, 0.0)))

    def time(name: str) -> str:
        return span(figures[name]) if name in figures else "-"

    def share(name: str) -> str:
        return f"{figures[name]:.0%}" if name in figures else "-"

    return (
        *(whole(name) for name in ("requests", "failed", "tokens_in", "tokens_out")),
        *(time(name) for name in ("first_p50_s", "first_p90_s", "total_p50_s")),
        f"{figures.get('engines_ready', 0.0):.3g}/{figures.get('engines', 0.0):.3g}",
        *(share(name) for name in ("cpu_busy", "memory_used", "disk_used")),
        f"{figures['hottest_c']:.0f} C" if "hottest_c" in figures else "-",
    )
