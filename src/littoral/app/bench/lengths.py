"""Lengths in tokens, as people write them: ``256``, ``100-500``, ``lognormal:512,0.8``."""

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Chance

Shape: TypeAlias = Literal["fixed", "uniform", "normal", "lognormal", "exponential"]
MOST = 1_000_000
NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,6})?)"
FORMS: dict[Shape, re.Pattern[str]] = {
    "fixed": re.compile(NUMBER),
    "uniform": re.compile(rf"{NUMBER}-{NUMBER}"),
    "normal": re.compile(rf"normal:{NUMBER},{NUMBER}"),
    "lognormal": re.compile(rf"lognormal:{NUMBER},{NUMBER}"),
    "exponential": re.compile(rf"exponential:{NUMBER}"),
}
HELP = (
    "a number (256), a range (100-500), normal:MEAN,SD, lognormal:MEDIAN,SIGMA or exponential:MEAN"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """A distribution of lengths.

    Args:
        shape: Its family.
        first: The number, the lower end, the mean or the median, in tokens.
        second: The upper end or the standard deviation in tokens, or sigma; else 0.
    """

    shape: Shape
    first: float
    second: float = 0.0


def parse(text: str, *, what: str) -> Lengths:
    """Read a distribution.

    Args:
        text: As typed.
        what: The option it stands for, for the message.

    Raises:
        InvalidInput: It is no distribution, or reaches beyond 1 to a million tokens.
    """
    for shape, form in FORMS.items():
        match = form.fullmatch(text.strip())
        if match is not None:
            numbers = [float(cast("str", number)) for number in match.groups()]
            found = Lengths(shape=shape, first=numbers[0], second=[*numbers, 0.0][1])
            return _checked(found, text, what=what)
    raise InvalidInput(f"{what}: {text!r} is no length in tokens; write {HELP}")


def _checked(found: Lengths, text: str, *, what: str) -> Lengths:
    if not 1 <= found.first <= MOST:
        raise InvalidInput(f"{what}: {text!r} must lie between 1 and {MOST} tokens")
    if found.shape == "uniform" and not found.first <= found.second <= MOST:
        raise InvalidInput(f"{what}: {text!r} is empty: the upper end is below the lower one")
    if found.shape == "lognormal" and found.second > 5:
        raise InvalidInput(f"{what}: {text!r}: sigma must be 0 to 5; most traffic has 0.5 to 1.5")
    return found


def draw(lengths: Lengths, chance: Chance) -> int:
    """One length, at least 1 and at most a million tokens."""
    match lengths.shape:
        case "fixed":
            value = lengths.first
        case "uniform":
            value = lengths.first + chance.random() * (lengths.second - lengths.first)
        case "normal":
            value = lengths.first + lengths.second * normal(chance)
        case "lognormal":
            value = lengths.first * math.exp(lengths.second * normal(chance))
        case "exponential":
            value = lengths.first * exponential(chance)
    return min(MOST, max(1, round(value)))


def exponential(chance: Chance) -> float:
    """An exponential variate of mean 1."""
    return -math.log1p(-chance.random())


def normal(chance: Chance) -> float:
    """A standard normal variate (Box and Muller)."""
    radius = math.sqrt(2.0 * exponential(chance))
    return radius * math.cos(2.0 * math.pi * chance.random())
