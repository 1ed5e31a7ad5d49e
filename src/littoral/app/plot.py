"""Plot: points and lines over two axes as a small SVG, without a library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 62, 46
COLOURS: Final = (
    "#0f766e", "#c2410c", "#1d4ed8", "#7c3aed", "#be123c",
    "#4d7c0f", "#0369a1", "#a16207", "#6b21a8", "#334155",
)  # fmt: skip
STYLE: Final = (
    ".p{fill:#f8fafc;stroke:#cbd5e1}.g{stroke:#e2e8f0}.t{fill:#475569}.h{fill:#0f172a;"
    "font-weight:600}@media(prefers-color-scheme:dark){.p{fill:#0f172a;stroke:#334155}"
    ".g{stroke:#1e293b}.t{fill:#94a3b8}.h{fill:#f1f5f9}}"
)
MOST_POINTS: Final = 1500
"""Of more, every second, third... is drawn."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one name, apart or joined by a ``line``; a ``label`` stands beside the first."""

    name: str
    points: Sequence[tuple[float, float]]
    line: bool = False
    label: bool = False


class _Axis:
    """From values to pixels, with ticks that are round."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._log = log
        low, high = min(values, default=0.0), max(values, default=1.0)
        if log:
            low, high = max(low, 1e-6), max(high, 1e-6)
            self._low = math.floor(math.log10(low) * 3) / 3
            self._high = max(self._low + 1 / 3, math.ceil(math.log10(high) * 3) / 3)
            first, last = math.floor(self._low), math.ceil(self._high)
            marks = [m * 10.0**n for n in range(first, last + 1) for m in (1, 2, 5)]
            self.ticks = [
                m for m in marks if self._low - 1e-9 <= math.log10(m) <= self._high + 1e-9
            ]
        else:
            low = min(0.0, low)
            step = _nice((high - low) / 5 or 0.2)
            count = max(1, math.ceil((high - low) / step - 1e-9))
            self.ticks = [low + step * n for n in range(count + 1)]
            self._low, self._high = self.ticks[0], self.ticks[-1]
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        """The pixel of a value; what is beyond the axis stands at its end."""
        put = math.log10(max(value, 1e-9)) if self._log else value
        share = (put - self._low) / (self._high - self._low)
        return self._start + (self._end - self._start) * min(max(share, 0.0), 1.0)


def _nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= step * 0.999)


def chart(
    title: str,
    *,
    x: str,
    y: str,
    series: Sequence[Series],
    log: bool = False,
    equal: bool = False,
) -> str:
    """Draw series over common axes.

    Args:
        title: Above it, and read aloud.
        x: What the horizontal axis is.
        y: What the vertical axis is.
        series: What to draw.
        log: Whether both axes are logarithmic.
        equal: Draw the line on which both are the same.
    """
    every = [point for each in series for point in each.points]
    across = _Axis([p[0] for p in every], LEFT, WIDTH - RIGHT, log=log)
    down = _Axis([p[1] for p in every], HEIGHT - BOTTOM, TOP, log=log)
    parts = [*_frame(title, x, y), *_grid(across, down)]
    if equal and every:
        ends = [f(p) for f in (min, max) for p in every]
        low, high = min(ends), max(ends)
        parts.append(
            f'<path d="M{across.at(low):.1f} {down.at(low):.1f}L{across.at(high):.1f} '
            f'{down.at(high):.1f}" stroke="#94a3b8" stroke-dasharray="4 4"/>'
        )
    name_at = LEFT
    for number, each in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        parts += _drawn(each, colour, across=across, down=down)
        if not each.label:
            parts.append(f'<rect x="{name_at}" y="36" width="12" height="4" fill="{colour}"/>')
            parts.append(f'<text class="t" x="{name_at + 17}" y="42">{escape(each.name)}</text>')
            name_at += 40 + round(6.3 * len(each.name))
    return "\n".join([*parts, "</svg>", ""])


def _frame(title: str, x: str, y: str) -> list[str]:
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2
    return [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        f'<text class="h" x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
        f'<text class="t" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        (
            f'<text class="t" transform="translate(14 {centre}) rotate(-90)" '
            f'text-anchor="middle">{escape(y)}</text>'
        ),
    ]


def _grid(across: _Axis, down: _Axis) -> list[str]:
    parts: list[str] = []
    for tick in down.ticks:
        at = down.at(tick)
        parts.append(f'<path class="g" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(
            f'<text class="t" x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts += [
        f'<text class="t" x="{across.at(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" '
        f'text-anchor="middle">{tick:g}</text>'
        for tick in across.ticks
    ]
    return parts


def _drawn(each: Series, colour: str, *, across: _Axis, down: _Axis) -> list[str]:
    step = max(1, math.ceil(len(each.points) / MOST_POINTS))
    places = [(across.at(a), down.at(b)) for a, b in each.points[::step]]
    if each.line:
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>'] * bool(
            path
        )
    radius, shade = (4, 1) if each.label else (2, 0.45)
    parts = [
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius}" fill="{colour}" fill-opacity="{shade}"/>'
        for a, b in places
    ]
    if each.label and places:
        a, b = places[0]
        late = a > WIDTH * 0.8
        anchor, by = ("end", -7) if late else ("start", 7)
        parts.append(
            f'<text class="t" x="{a + by:.1f}" y="{b + 4:.1f}" text-anchor="{anchor}">'
            f"{escape(each.name)}</text>"
        )
    return parts
