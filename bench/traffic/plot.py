"""Line charts as small SVG files, without a library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 60, 46
COLOURS = ("#c2410c", "#0f766e", "#1d4ed8", "#7c3aed")
STYLE = (
    ".p{fill:#f8fafc;stroke:#cbd5e1}.g{stroke:#e2e8f0}.t{fill:#475569}.h{fill:#0f172a;"
    "font-weight:600}@media(prefers-color-scheme:dark){.p{fill:#0f172a;stroke:#334155}"
    ".g{stroke:#1e293b}.t{fill:#94a3b8}.h{fill:#f1f5f9}}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, and its points."""

    name: str
    points: Sequence[tuple[float, float]]


class Scale:
    """From values to pixels, with ticks that are round numbers."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, *, log: bool, top: float | None
    ) -> None:
        self.log = log
        if log:
            low, high = min(values), max(values)
            self.ticks = [
                10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            ]
        else:
            low, high = min(0.0, *values), top or max(values)
            step = nice((high - low) / 5)
            count = math.ceil((high - low) / step - 1e-9)
            self.ticks = [low + step * n for n in range(count + 1)]
        self.low, self.high = self.put(self.ticks[0]), self.put(self.ticks[-1])
        self.start, self.end = start, end

    def put(self, value: float) -> float:
        """The value, or its logarithm."""
        return math.log10(value) if self.log else value

    def at(self, value: float) -> float:
        """The pixel of a value; those beyond the axis stand at its end."""
        share = (self.put(value) - self.low) / (self.high - self.low)
        return self.start + (self.end - self.start) * min(max(share, 0.0), 1.0)


def nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= step * 0.999)


def chart(
    title: str,
    *,
    x: str,
    y: str,
    lines: Sequence[Line],
    log: bool = False,
    top: float | None = None,
) -> str:
    """Draw lines over common axes.

    Args:
        title: Above it, and read aloud.
        x: What the horizontal axis is.
        y: What the vertical axis is.
        lines: At most four.
        log: Whether the vertical axis is logarithmic.
        top: Its upper end, where that is not the largest value.
    """
    points = [point for line in lines for point in line.points]
    across = Scale([p[0] for p in points], LEFT, WIDTH - RIGHT, log=False, top=None)
    down = Scale([p[1] for p in points], HEIGHT - BOTTOM, TOP, log=log, top=top)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        f'<text class="h" x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
    ]
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
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="t" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>'
    )
    parts.append(
        f'<text class="t" transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y)}</text>'
    )
    name_at = LEFT
    for line, colour in zip(lines, COLOURS, strict=False):
        parts += drawn(line, colour, across=across, down=down)
        parts.append(f'<rect x="{name_at}" y="36" width="12" height="4" fill="{colour}"/>')
        parts.append(f'<text class="t" x="{name_at + 17}" y="42">{escape(line.name)}</text>')
        name_at += 40 + round(6.3 * len(line.name))
    return "\n".join([*parts, "</svg>", ""])


def drawn(line: Line, colour: str, *, across: Scale, down: Scale) -> list[str]:
    """One line, with a dot a point where there are few."""
    spots = [(across.at(x), down.at(y)) for x, y in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    parts = [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    if len(spots) <= 16:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in spots]
    return parts
