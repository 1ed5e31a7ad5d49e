"""Plots as SVG text: axes, lines, areas, dots and bars; colours come from the page's classes."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 260
LEFT: Final = 62
RIGHT: Final = 18
TOP: Final = 16
BOTTOM: Final = 34
MOST_TICKS: Final = 5
PERCENTILES: Final = (
    *((0.0, "min"), (0.5, "p50"), (0.9, "p90")),
    *((0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")),
)
"""Places on an axis where each further nine has the same room."""

Label = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One direction of a plot.

    Args:
        least: Value at its beginning.
        most: Value at its end, above ``least``.
        ticks: Values that are marked, and how.
    """

    least: float
    most: float
    ticks: Sequence[tuple[float, str]]

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1."""
        return min(1.0, max(0.0, (value - self.least) / (self.most - self.least)))


def linear(most: float, label: Label, *, least: float = 0.0) -> Axis:
    """An axis with round ticks that reaches a little beyond ``most``."""
    span = max(most - least, 1e-9)
    step = _step(span / MOST_TICKS)
    first = math.ceil(least / step - 1e-9)
    count = math.floor((least + span * 1.04) / step + 1e-9) - first + 1
    ticks = [(step * (first + place), label(step * (first + place))) for place in range(count)]
    return Axis(least=least, most=least + span * 1.04, ticks=ticks)


def _step(least: float) -> float:
    size = 10.0 ** math.floor(math.log10(least))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= least * 0.999)


def nines(count: int) -> Axis:
    """An axis of ranks on which 90, 99 and 99.9 % are equally far apart.

    Args:
        count: Samples: no rank is shown that they do not reach.
    """
    most = max(1.05, math.log10(max(count, 1)))
    ticks = [(nine(rank), name) for rank, name in PERCENTILES if nine(rank) <= most]
    return Axis(least=0.0, most=most, ticks=ticks)


def nine(rank: float) -> float:
    """How many nines a rank has."""
    return -math.log10(max(1e-9, 1.0 - rank))


class Plot:
    """One plot.

    Args:
        across: The axis from left to right.
        up: The axis from bottom to top.
        title: For those who hear it.
        height: Of the whole plot.
    """

    def __init__(self, across: Axis, up: Axis, *, title: str, height: int = HEIGHT) -> None:
        self._across = across
        self._up = up
        self._title = title
        self._height = height
        self._parts: list[str] = []

    def _x(self, value: float) -> float:
        return LEFT + self._across.share(value) * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return self._height - BOTTOM - self._up.share(value) * (self._height - TOP - BOTTOM)

    def shade(self, begin: float, end: float, *, text: str = "") -> None:
        """A band from one place across to another."""
        x, width = self._x(begin), self._x(end) - self._x(begin)
        inner = self._height - TOP - BOTTOM
        self._parts.append(
            f'<rect class="shade" x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{inner}"/>'
        )
        if text and width > 40:
            self._parts.append(_text(x + 5, TOP + 12, text, kind="hint"))

    def line(self, points: Iterable[tuple[float, float]], *, kind: str) -> None:
        """A line through points; ``kind`` is its class."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        if path:
            self._parts.append(f'<polyline class="line {kind}" points="{path}"/>')

    def area(self, points: Sequence[tuple[float, float]], *, kind: str) -> None:
        """What lies below a line."""
        if points:
            floor = self._y(self._up.least)
            ends = (points[0][0], points[-1][0])
            path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
            corners = f"{self._x(ends[1]):.1f},{floor:.1f} {self._x(ends[0]):.1f},{floor:.1f}"
            self._parts.append(f'<polygon class="area {kind}" points="{path} {corners}"/>')

    def dots(self, points: Iterable[tuple[float, float]], *, kind: str) -> None:
        """Small marks; one path, however many there are."""
        path = "".join(f"M{self._x(x):.1f},{self._y(y):.1f}h0" for x, y in points)
        if path:
            self._parts.append(f'<path class="dots {kind}" d="{path}"/>')

    def bound(self, value: float, *, text: str) -> None:
        """A level line with its name, such as an objective."""
        if not self._up.least <= value <= self._up.most:
            return
        y = self._y(value)
        self._parts.append(
            f'<line class="bound" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        self._parts.append(_text(WIDTH - RIGHT - 4, y - 5, text, kind="bound-name", anchor="end"))

    def mark(self, x: float, y: float, *, text: str, kind: str, below: bool = False) -> None:
        """A point with its value above it, or below."""
        px, py = self._x(x), self._y(y)
        self._parts.append(f'<circle class="mark {kind}" cx="{px:.1f}" cy="{py:.1f}" r="3.2"/>')
        left = px > WIDTH - RIGHT - 60
        at, anchor = (px - 7, "end") if left else (px + 6, "start")
        self._parts.append(_text(at, py + (15 if below else -6), text, kind="value", anchor=anchor))

    def svg(self) -> str:
        """The whole plot."""
        inside = "".join((*self._grid(), *self._parts))
        return (
            f'<svg viewBox="0 0 {WIDTH} {self._height}" role="img" '
            f'aria-label="{escape(self._title)}">{inside}</svg>'
        )

    def _grid(self) -> Iterable[str]:
        floor = self._height - BOTTOM
        for value, name in self._up.ticks:
            y = self._y(value)
            yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield _text(LEFT - 8, y + 4, name, kind="tick", anchor="end")
        for value, name in self._across.ticks:
            x = self._x(value)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{floor}"/>'
            yield _text(x, floor + 18, name, kind="tick", anchor="middle")


def _text(x: float, y: float, text: str, *, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
