#!/usr/bin/env python3
"""Draw bench/out/gateway.json as docs/_static/gateway-cost.svg: bench/gateway/chart.py."""

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from html import escape

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench" / "traffic"))

from plot import COLOURS, STYLE, Scale  # noqa: E402  the folder above must be known first

WIDTH, LEFT, RIGHT, TOP = 720, 250, 70, 44
BAR, GAP = 14, 12
PEERS = ("nginx", "littoral", "vllm-router", "litellm")
GROUPS = (
    ("one request of 360 B", "ns32", "us_request"),
    ("one request of 11 KB", "ns8k", "us_request"),
    ("one event, back to back", "st16", "us_event"),
    ("one event, alone", "paced", "us_event"),
    ("one event, 500 streams", "c500", "us_event"),
)
Bars = Sequence[tuple[str, Sequence[tuple[str, float]]]]


def groups(result: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> Bars:
    """Name of each group, and what each peer that was measured takes."""
    found = []
    for title, workload, field in GROUPS:
        row = result["workloads"].get(workload, {})
        bars = [(peer, row[peer][field]) for peer in PEERS if field in row.get(peer, {})]
        if bars:
            found.append((title, bars))
    return found


def number(value: float) -> str:
    """Three figures, without powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(title: str, bars: Bars) -> str:
    """Stems on one logarithmic axis of microseconds."""
    count = sum(len(each) for _, each in bars)
    bottom = TOP + 18 + count * (BAR + 3) + len(bars) * GAP
    height = bottom + 44
    values = [value for _, each in bars for _, value in each]
    across = Scale(values, LEFT, WIDTH - RIGHT, log=True, top=None)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="p" x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
        f'<text class="h" x="16" y="26" font-size="14">{escape(title)}</text>',
    ]
    for tick in across.ticks:
        at = across.at(tick)
        parts.append(f'<path class="g" d="M{at:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text class="t" x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="t" x="{middle}" y="{height - 10}" text-anchor="middle">'
        "CPU microseconds, logarithmic</text>"
    )
    y = TOP + 12
    for name, each in bars:
        parts.append(f'<text class="t" x="16" y="{y + 11}">{escape(name)}</text>')
        for peer, value in each:
            end, colour = across.at(value), COLOURS[PEERS.index(peer)]
            dot = f'<circle cx="{end:.1f}" cy="{y + 7}" r="5" fill="{colour}"/>'
            stem = f'<path d="M{LEFT} {y + 7}H{end:.1f}" stroke="{colour}" stroke-width="2"/>'
            parts.append(
                f'<text class="t" x="{LEFT - 6}" y="{y + 11}" text-anchor="end">{peer}</text>'
                f'{stem}{dot}<text class="t" x="{end + 9:.1f}" y="{y + 11}">{number(value)}</text>'
            )
            y += BAR + 3
        y += GAP
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Read, draw, write."""
    result = json.loads((ROOT / "bench" / "out" / "gateway.json").read_text(encoding="utf-8"))
    svg = draw("CPU time of a relay, a gateway and two others", groups(result))
    (ROOT / "docs" / "_static" / "gateway-cost.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
