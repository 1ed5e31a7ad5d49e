#!/usr/bin/env python3
"""CPU time of one decision: ``rank`` over 1, 2, 8 and 64 rows.

Without a deadline, with one, and with a price of its miss besides.

    .venv/bin/python bench/placement/rank.py --rounds 15

Prints microseconds, the least and the median of the rounds.
"""

import argparse
import math
import statistics
import time

from littoral.placement.decide import Row, rank

COUNTS = (1, 2, 8, 64)
REPEATS = 40_000
"""Rows of a round, over all its decisions."""
STAKES = {"no deadline": (math.inf, 0.0), "a deadline": (4.0, 0.0), "a priced miss": (4.0, 0.01)}


def rows_of(count: int) -> list[Row]:
    """Candidates alike but for speed and price, all of which keep the deadline."""
    return [
        Row(
            f"place-{at}",
            ready=True,
            mask=1,
            context=8192,
            slots=4,
            t0=0.05,
            t_in=0.0004,
            t_step=0.01 * (1.0 + 0.01 * (at % 7)),
            width=0.3,
            scale=1.0,
            price_in=0.1 + 0.01 * (at % 5),
            price_out=0.4,
            t_crowd=0.001,
            harm=0.1,
        )
        for at in range(count)
    ]


def timed(count: int, rounds: int, stakes: tuple[float, float]) -> tuple[float, float]:
    """Microseconds a decision: the least and the median of the rounds.

    ``stakes`` are the deadline, seconds, and what its miss costs.
    """
    rows, loads, calls = rows_of(count), [1] * count, max(100, REPEATS // count)
    found: list[float] = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            rank(
                rows,
                loads,
                tokens_in=300,
                tokens_out=100,
                mask=1,
                total_s=stakes[0],
                skip=0,
                length=0.6,
                miss_cost=stakes[1],
            )
        found.append((time.process_time() - began) / calls * 1e6)
    return min(found), statistics.median(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="CPU time of one decision.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    for name, stakes in STAKES.items():
        for count in COUNTS:
            least, median = timed(count, rounds, stakes)
            print(f"{count:3} rows, {name:14} {least:6.2f} us, median {median:6.2f}")


if __name__ == "__main__":
    main()
