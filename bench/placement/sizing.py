"""Sizing: the edge's pace with each number in service, and what a platform's chain says of it.

The pace is read from tasks that were served side by side; from it follow the rate that keeps an
objective, and the mean seconds at shares of that rate, which are then measured.
"""

import asyncio
import math
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any

from playing import Play
from traffic import asks, sizes_of
from world import SLOTS, World

from littoral.cost.chain import capacity
from littoral.cost.pace import Pace, expected, paces
from sim.knowing import Known
from sim.policies import edge_only

SHARES = (0.3, 0.6, 0.9)
TARGET = 0.95
OBJECTIVE = 5.0
"""Seconds within which the target is to end, by those of a mean task alone."""
WORK_CS2 = 0.5
"""Of the traffic's tasks: seconds alone spread so much; see ``spread``."""


async def closed(
    world: World, place: str, *, company: int, span_s: float
) -> list[tuple[float, float]]:
    """When tasks came and ended with always ``company`` of them there."""
    spans: list[tuple[float, float]] = []
    began = time.monotonic()

    async def work(number: int) -> None:
        chance, turn = random.Random(number * 71 + company), 0  # noqa: S311  sizes, no secret
        while time.monotonic() < began + span_s:
            _, tokens_in, tokens_out = sizes_of(chance)
            came, turn = time.monotonic(), turn + 1
            await world.serve(place, sizes=(tokens_in, tokens_out), seed=number * 1000 + turn)
            spans.append((came, time.monotonic()))

    await asyncio.gather(*[work(number) for number in range(company)])
    return spans


async def paced(
    world: World, place: str, *, span_s: float, steps: Sequence[int]
) -> tuple[Pace, ...]:
    """The pace with each number in service, of ``span_s`` seconds for each of ``steps``."""
    spans: list[tuple[float, float]] = []
    for company in steps:
        spans += await closed(world, place, company=company, span_s=span_s)
    return paces(spans, SLOTS[place], cs2=WORK_CS2)


def reading_share(known: Known) -> float:
    """Share of a mean task's seconds alone in which its input is read."""
    theta = known.places["edge"].recursion.theta
    chance = random.Random(11)  # noqa: S311  sizes, no secret
    sizes = [sizes_of(chance)[1:] for _ in range(2000)]
    read = theta[1] * statistics.fmean(ins for ins, _ in sizes)
    write = theta[2] * statistics.fmean(outs - 1 for _, outs in sizes)
    return read / (read + write + theta[0])


async def sized(
    world: World, known: Known, each: tuple[Pace, ...], *, span_s: float
) -> dict[str, Any]:
    """Predict the mean sojourn at shares of the predicted capacity, and measure it."""
    rates = [pace.rate for pace in each]
    alone, reading = 1.0 / rates[0], reading_share(known)
    objective = OBJECTIVE * alone
    most = capacity(rates, objective, TARGET, ca2=1.0, cs2=WORK_CS2, fixed_s=0.0)
    print(
        f"capacity: {most:.2f} requests a second end within {objective:.2f} s in {TARGET:.0%} of "
        f"all cases; pace with 1 to {len(rates)}: {', '.join(f'{rate:.2f}' for rate in rates)}"
    )
    rows: list[dict[str, float]] = []
    for share in SHARES:
        lam = share * most
        deadlines = dict.fromkeys(world.deadlines, math.inf)
        made = asks(deadlines, rate=lam, seed=7, span_s=span_s, uneven=1.0)
        promised = expected(lam, each, span_s=span_s, reading=reading, cs2=WORK_CS2)
        play = Play(world, known.copy(), edge_only, name="edge_only")
        played = await play.run(made, seed=7, span_s=span_s)
        took = statistics.fmean(played.total_s) if played.total_s else math.nan
        rows.append({
            "share": share, "rate": lam, "requests": played.requests,
            "predicted_s": promised.sojourn_s, "low_s": promised.low,
            "high_s": promised.high, "measured_s": took,
            "inside": promised.low <= took <= promised.high,
        })  # fmt: skip
        print(
            f"  {share:.0%}: {lam:.2f}/s, {played.requests} requests took {took:.2f} s on average; "
            f"predicted {promised.sojourn_s:.2f} ({promised.low:.2f} to {promised.high:.2f}) "
            f"{'inside' if rows[-1]['inside'] else 'OUTSIDE'}",
            flush=True,
        )
    return {
        "objective_s": objective, "target": TARGET, "rate": most, "reading_share": reading,
        "paces": [pace._asdict() for pace in each], "shares": rows,
        "met": all(row["inside"] for row in rows),
    }  # fmt: skip
