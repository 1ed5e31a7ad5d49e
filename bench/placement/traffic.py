"""Traffic: what comes in a run, and what happens to the machine and to the link meanwhile."""

import math
import random
from dataclasses import dataclass

from sim.knowing import USUAL
from sim.stepper import Ask

TAGS = {  # share, input (mu, sigma), output (mu, sigma)
    "chat": (0.5, (2.9, 0.6), (USUAL["chat"], 0.7)),
    "rag": (0.3, (3.9, 0.4), (USUAL["rag"], 0.5)),
    "sum": (0.2, (4.3, 0.3), (USUAL["sum"], 0.3)),
}
MOST_IN, MOST_OUT = 120, 48
UNEVEN = 0.5
"""Shape of the gamma of gaps between requests: their squared coefficient of variation is 2."""
CUT = 0.2
"""Share of a run for which the link is cut."""


@dataclass(frozen=True, slots=True)
class Weather:
    """From when to when the other load works, and the link is cut, seconds."""

    bursts: tuple[tuple[float, float], ...] = ()
    cuts: tuple[tuple[float, float], ...] = ()


def sizes_of(chance: random.Random) -> tuple[str, int, int]:
    """Draw a kind, tokens in and tokens out."""
    draw, tag = chance.random(), "sum"
    for name, (share, *_) in TAGS.items():
        if draw < share:
            tag = name
            break
        draw -= share
    _, ins, outs = TAGS[tag]
    tokens_in = min(MOST_IN, max(8, round(math.exp(chance.gauss(*ins)))))
    return tag, tokens_in, min(MOST_OUT, max(2, round(math.exp(chance.gauss(*outs)))))


def asks(
    deadlines: dict[str, float], *, rate: float, seed: int, span_s: float, uneven: float = UNEVEN
) -> list[Ask]:
    """The requests of one seed, the same for every policy; ``uneven`` 1 makes them Poisson's."""
    chance, now, made = random.Random(seed * 1009 + 7), 0.0, []  # noqa: S311  traffic, no secret
    while True:
        now += chance.gammavariate(uneven, 1.0 / (uneven * rate))
        if now > span_s:
            return made
        tag, tokens_in, tokens_out = sizes_of(chance)
        made.append(
            Ask(
                came=now, tag=tag, tokens_in=tokens_in, tokens_out=tokens_out,
                deadline=deadlines[tag], confidential=False,
            )
        )  # fmt: skip


def long_weather(seed: int, span_s: float) -> Weather:
    """Bursts of 4 to 10 seconds after rests of 6 to 14, and two cuts."""
    each = CUT / 2 * span_s
    cuts = tuple((at * span_s, at * span_s + each) for at in (0.3, 0.7))
    return Weather(_bursts(seed, span_s, quiet=(6.0, 14.0), busy=(4.0, 10.0)), cuts)


def short_weather(seed: int, span_s: float) -> Weather:
    """Bursts of 2 to 5 seconds after rests of 3 to 6, and one cut anywhere but at the ends."""
    chance = random.Random(seed * 17 + 3)  # noqa: S311  a link, no secret
    begins = chance.uniform(0.1, 0.9 - CUT) * span_s
    cuts = ((begins, begins + CUT * span_s),)
    return Weather(_bursts(seed, span_s, quiet=(3.0, 6.0), busy=(2.0, 5.0)), cuts)


def _bursts(
    seed: int, span_s: float, *, quiet: tuple[float, float], busy: tuple[float, float]
) -> tuple[tuple[float, float], ...]:
    chance, made = random.Random(seed * 31 + 5), []  # noqa: S311  load, no secret
    now = -chance.uniform(0.0, quiet[0])
    while now < span_s:
        now += chance.uniform(*quiet)
        ends = now + chance.uniform(*busy)
        made.append((max(0.0, now), ends))
        now = ends
    return tuple(made)
