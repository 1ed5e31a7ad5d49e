"""Prior: what to expect of a machine before any request has told."""

from collections.abc import Sequence
from typing import Final, NamedTuple


class Prior(NamedTuple):
    """Seconds to expect of a machine nobody has measured, all above 0.

    A request at all, one input token, one output token, and what each other sequence in service
    adds to an output token.
    """

    fixed_s: float = 0.02
    prefill_s: float = 0.003
    step_s: float = 0.03
    crowd_s: float = 0.01


UNKNOWN: Final = Prior()


def measured(probes: Sequence[tuple[int, int, float, float]]) -> Prior:
    """Return what a few probes of an idle engine say, instead of what an unknown one might do.

    Args:
        probes: Of each tokens in and out, seconds to the first and to the last token.

    Source: two inputs give the reading, the longest answer the writing.
    Checked by: tests/unit/cost/test_predictor.py.
    """
    fixed, read, write, crowd = UNKNOWN
    if not probes:
        return UNKNOWN
    small, large = min(probes), max(probes)
    if large[0] > small[0]:
        read = max(1e-6, (large[2] - small[2]) / (large[0] - small[0]))
    fixed = max(1e-3, small[2] - read * small[0])
    longest = max(probes, key=lambda probe: probe[1])
    if longest[1] > 1:
        write = max(1e-6, (longest[3] - longest[2]) / (longest[1] - 1))
        crowd = write / 3.0
    return Prior(fixed, read, write, crowd)
