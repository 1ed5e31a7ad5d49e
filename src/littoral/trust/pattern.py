"""Pattern: how long a text may be that a regular expression is searched for in, so that it ends.

Python's matcher tries one way after another. How many there are is bounded by what can be read off
a pattern: each repeat has as many as its range is wide, each alternation as many as it has
branches, ways of what follows each other multiply, and one that is not tied to the text's beginning
may start anywhere. What this cannot bound is not known here: references back, looking around, and
flags but ``(?i)`` and ``(?s)`` in front.
"""

import math
import re
from typing import Final

from littoral.domain.errors import InvalidInput

MOST_STEPS: Final = 2e7
"""Steps that a search may take; a step takes some nanoseconds."""
LONGEST: Final = 64 * 1024
LEAST: Final = 1024
"""A pattern has to do for texts of as many letters."""
_ALLOWED: Final = (
    "tie it to the beginning with ^, repeat single letters rather than groups, have few repeats, "
    "and no references back, lookaround, nor flags but (?i) and (?s)"
)
_FLAGS: Final = re.compile(r"\(\?[is]+\)")
_TOKEN: Final = re.compile(
    r"(?P<back>\\[1-9])|(?P<start>\^|\\A)"
    r"|(?P<item>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\()|*+?{^]|\{(?!(?:\d+,?|,)\d*\}))"
    r"|(?P<open>\((?:\?:)?(?!\?))|(?P<close>\))|(?P<bar>\|)"
    r"|(?P<many>[*+?]|\{(?P<low>\d*)(?P<more>,?)(?P<high>\d*)\})[?+]?",
    re.DOTALL,
)


class _Branch:
    """One of several branches: its ways, what a way takes at most, and those of its last item."""

    def __init__(self) -> None:
        self.ways = 1.0
        self.weight = 1.0
        self.last = (1.0, 1.0)

    def add(self, ways: float, weight: float) -> None:
        """Let one more item follow."""
        self.ways *= self.last[0]
        self.weight += self.last[1]
        self.last = (ways, weight)

    def end(self) -> tuple[float, float]:
        """Ways and weight of the whole."""
        return self.ways * self.last[0], self.weight + self.last[1]


def reach(pattern: str) -> int:
    """Letters of the longest text that a search for it is bounded on; 0 where that is too few.

    Args:
        pattern: A regular expression that ``re`` takes.

    Checked by: tests/unit/trust/test_pattern.py.
    """
    letters = LONGEST
    while letters >= LEAST and steps(pattern, letters) > MOST_STEPS:
        letters //= 2
    return letters if letters >= LEAST else 0


def check(pattern: str, *, path: str) -> None:
    """Refuse what may take too long.

    Args:
        pattern: A regular expression that ``re`` takes.
        path: Where it stands, for the error.

    Raises:
        InvalidInput: It may, or nobody can tell.
    """
    if not reach(pattern):
        raise InvalidInput(f"{path}: it might take too long; {_ALLOWED}", param=path)


def steps(pattern: str, letters: int) -> float:
    """How many steps a search takes at most; ``inf`` where that is not known.

    Args:
        pattern: A regular expression that ``re`` takes.
        letters: Of the text.
    """
    flags = _FLAGS.match(pattern)
    at = begins = flags.end() if flags is not None else 0
    groups = [[_Branch()]]
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or token["back"]:
            return math.inf
        at = token.end()
        _take(groups, token, letters)
    ways, weight = _whole(groups[0])
    is_tied = len(groups[0]) == 1 and pattern.startswith(("^", "\\A"), begins)
    return ways * weight + letters if is_tied else ways * weight * letters


def _take(groups: list[list[_Branch]], token: re.Match[str], letters: int) -> None:
    branch = groups[-1][-1]
    if token["open"]:
        groups.append([_Branch()])
    elif token["close"]:
        inner = groups.pop()
        groups[-1][-1].add(*_whole(inner))
    elif token["bar"]:
        groups[-1].append(_Branch())
    elif token["many"]:
        branch.last = _repeated(branch.last, token, letters)
    else:
        branch.add(1.0, 1.0)


def _whole(branches: list[_Branch]) -> tuple[float, float]:
    ended = [each.end() for each in branches]
    return sum(ways for ways, _ in ended), sum(weight for _, weight in ended)


def _repeated(item: tuple[float, float], token: re.Match[str], letters: int) -> tuple[float, float]:
    (ways, weight), sign = item, token["many"]
    if sign in {"*", "+"} or (token["more"] and not token["high"]):
        low, high = float(token["low"] or 0), math.inf
    elif sign == "?":
        low, high = 0.0, 1.0
    else:
        low = float(token["low"] or 0)
        high = float(token["high"]) if token["more"] else low
    if ways == 1.0:
        wide = min(high - low, letters) + 1
        return wide, weight * (max(low, 1.0) if high == math.inf else max(high, 1.0))
    if high * math.log2(ways) > 64:
        return math.inf, weight
    return (high - low + 1) * ways**high, weight * max(high, 1.0)
