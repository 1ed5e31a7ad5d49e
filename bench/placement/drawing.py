"""Plots of what was played."""

import math
import pathlib
from collections.abc import Sequence
from typing import Any

from littoral.app.plot import Series, chart
from sim.knowing import Scored

WINDOW = 50


def draw(
    scored: Sequence[Scored], loads: dict[str, Any], folder: pathlib.Path, *, settling: int
) -> None:
    """Predicted against measured, coverage over time, deadlines kept against money."""
    rows = scored[settling:]
    pictures = {
        "predicted": chart(
            "Predicted and measured, seconds to the last token",
            x="predicted p50, s",
            y="measured, s",
            series=[
                Series(
                    name,
                    [
                        (row.promised["ours"][0], row.seen.total_s)
                        for row in rows
                        if row.seen.place == name
                    ],
                )
                for name in ("edge", "cloud")
            ],
            log=True,
            equal=True,
        ),
        "coverage": chart(
            f"Share of the last {WINDOW} outcomes within their p90",
            x="seconds",
            y="share",
            series=[Series(name, covered(scored, name), line=True) for name in NAMES],
        ),
    }
    for load, found in loads.items():
        pictures[f"policies-{load}"] = chart(
            f"Deadlines kept and money, at {load} of the edge's capacity",
            x="cost, share of cloud only",
            y="deadlines kept",
            series=[
                Series(name, [(row["cost_of_cloud_only"], row["slo_attainment"])], label=True)
                for name, row in found["policies"].items()
            ],
        )
    for name, picture in pictures.items():
        (folder / f"placement-{name}.svg").write_text(picture)


NAMES = ("ours", "one_shot", "frozen_profile", "ewma")


def covered(scored: Sequence[Scored], name: str) -> list[tuple[float, float]]:
    """Coverage over a moving window, by the time of the last outcome in it."""
    held = [row.seen.total_s <= row.promised[name][1] for row in scored]
    return [
        (scored[at].seen.came, math.fsum(held[at - WINDOW + 1 : at + 1]) / WINDOW)
        for at in range(WINDOW - 1, len(held))
    ]
