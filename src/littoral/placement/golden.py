"""Golden items: whether an answer to a question is the one that is known to be right."""

import re
from collections.abc import Sequence
from typing import Final

from littoral.domain.rollout import GoldenItem

CHOICE: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z0-9](?![A-Za-z0-9])")
"""A letter or digit that stands alone, between words of any script."""


def plain(text: str) -> str:
    """A text with each run of blanks as one."""
    return " ".join(text.split())


def score(item: GoldenItem, answer: str) -> float:
    """1.0 where an answer is right, else 0.0.

    Checked by: tests/unit/placement/test_golden.py.
    """
    said, expected = plain(answer), plain(item.expect)
    if item.check == "exact":
        return float(said == expected)
    if item.check == "contains":
        return float(expected in said)
    found = CHOICE.search(said)
    return float(found is not None and found[0] == expected)


def lost(old: Sequence[float], new: Sequence[float]) -> float:
    """Points of a hundred by which the new version is worse on the same items; below 0: better.

    Checked by: tests/unit/placement/test_golden.py.
    """
    return 100 * (sum(old) - sum(new)) / max(1, len(old))
