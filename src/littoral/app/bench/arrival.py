"""When requests are sent: a schedule that is fixed before the first one leaves."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeAlias

from littoral.app.bench.lengths import exponential, normal
from littoral.domain.ports import Chance

Process: TypeAlias = Literal["poisson", "gamma", "constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request of a schedule.

    Args:
        at: Seconds after the start of the run; in a closed loop the order only.
        tokens_in: Length of the prompt that is wished for.
        tokens_out: Most tokens of the answer.
        blocks: Names of the prompt's blocks, where a trace gives them: equal names, equal text.
    """

    at: float
    tokens_in: int
    tokens_out: int
    blocks: tuple[int, ...] = ()


def gaps(process: Process, chance: Chance, *, cv: float = 1.0) -> Iterator[float]:
    """Times between arrivals, of mean 1, without end.

    Args:
        process: ``poisson`` is a crowd of independent callers, ``gamma`` one that comes in bursts
            (cv > 1) or evenly (cv < 1), ``constant`` a metronome.
        chance: Where variates come from: one seed, one schedule.
        cv: Coefficient of variation of ``gamma``, above 0; the others do not read it.
    """
    shape = 1.0 / (cv * cv)
    while True:
        match process:
            case "poisson":
                yield exponential(chance)
            case "gamma":
                yield gamma(shape, chance) / shape
            case "constant":
                yield 1.0


def gamma(shape: float, chance: Chance) -> float:
    """A gamma variate of scale 1.

    Args:
        shape: Above 0.
        chance: Where uniform variates come from.

    Source: Marsaglia, Tsang (2000), A simple method for generating gamma variables; a shape below
        1 by their boost ``gamma(shape + 1) * u ** (1 / shape)``.
    """
    if shape < 1.0:
        return gamma(shape + 1.0, chance) * math.pow(1.0 - chance.random(), 1.0 / shape)
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(chance)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log1p(-chance.random()) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v


def times(
    gap: Iterator[float], *, rate: float, duration: float, count: int | None = None
) -> list[float]:
    """Moments of arrival in ``[0, duration)``, ascending.

    Args:
        gap: Times between arrivals, of mean 1.
        rate: Mean arrivals a second, above 0.
        duration: Seconds.
        count: At most so many.
    """
    return list(islice(_times(gap, rate, duration), count))


def _times(gap: Iterator[float], rate: float, duration: float) -> Iterator[float]:
    at = 0.0
    for each in gap:
        at += each / rate
        if at >= duration:
            return
        yield at
