"""Service level objectives: ``ttft=500ms,tpot=0.05,e2e=2s``."""

import re
from collections.abc import Mapping
from typing import Final

from littoral.domain.errors import InvalidInput

METRICS: Final = ("ttft", "itl", "tpot", "e2e")
FORM = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(ms|s)?")


def parse(text: str) -> dict[str, float]:
    """Read objectives: for each metric the most seconds that a good request takes.

    ``itl`` bounds the longest gap of a request. Numbers are seconds unless they say ``ms``.

    Raises:
        InvalidInput: A metric is unknown or named twice, or a bound is no time above zero.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, mark, value = (piece.strip() for piece in part.partition("="))
        if name not in METRICS or not mark:
            raise InvalidInput(
                f"--slo: {part.strip()!r} is no objective; write {'=..., '.join(METRICS)}=... "
                "with commas between, such as ttft=0.5,tpot=50ms"
            )
        if name in found:
            raise InvalidInput(f"--slo: {name} is named twice")
        found[name] = _seconds(name, value)
    return found


def _seconds(name: str, value: str) -> float:
    match = FORM.fullmatch(value)
    seconds = 0.0 if match is None else float(match[1]) / (1000 if match[2] == "ms" else 1)
    if seconds <= 0:
        raise InvalidInput(
            f"--slo: {name} must be a time above zero such as 0.5, 2s or 50ms, not {value!r}"
        )
    return seconds


def met(figures: Mapping[str, float | None], objectives: Mapping[str, float]) -> bool:
    """Whether one answered request meets every objective.

    Args:
        figures: Its metrics; one that is undefined for it (a TPOT of one token) is met.
        objectives: From ``parse``.
    """
    return all((figures.get(name) or 0.0) <= most for name, most in objectives.items())
