"""Terms: the scalars that every prediction is made of."""

import math
from typing import Final

PRESSED: Final = 0.25
"""Share of one core from which on only what our threads waited for counts."""
NOTICED: Final = 0.1
"""Share of the cores below which others say nothing of how many they are."""
MOST_RIVALS: Final = 8.0
RIVAL_WEIGHT: Final = 0.1


def transfer(size: float, goodput: float) -> float:
    """Return the seconds that ``size`` bytes take at ``goodput`` bytes per second.

    0 for no bytes, whatever the link; ``inf`` for a link that carries nothing.

    Source: term B of ECS = f(T, C, B, N).
    Checked by: tests/unit/cost/test_terms.py.
    """
    if size == 0:
        return 0.0
    return math.inf if goodput <= 0 else size / goodput


def prefill(per_token: float, fresh: float) -> float:
    """Return the seconds to read ``fresh`` input tokens; an engine reads at least one.

    Source: term C of ECS = f(T, C, B, N).
    Checked by: tests/unit/cost/test_terms.py.
    """
    return per_token * max(1.0, fresh)


def decode(step: float, pen: float, n_out: float, j: float) -> float:
    """Return the seconds to write ``n_out`` tokens with ``j`` sequences in service.

    The first token comes out of the prefill. ``step`` is seconds a token alone, ``pen`` the share
    that each further sequence adds.

    Source: term C of ECS = f(T, C, B, N).
    Checked by: tests/unit/cost/test_terms.py.
    """
    return max(0.0, n_out - 1.0) * step * (1.0 + pen * (j - 1.0))


def stretch(load: int, slots: int) -> float:
    """Return the wait for a slot as a multiple of the request's own time.

    ``load`` requests are there already; with a slot free nobody waits.

    Source: the wait W of section "One request on a node", all works alike.
    Checked by: tests/unit/cost/test_terms.py, and against ``rank`` in test_predictor.py.
    """
    return max(0, load + 1 - slots) / slots


def strain(
    elsewhere: float,
    stolen: float,
    *,
    rivals: float = 1.0,
    held: float = 1.0,
    pressing: float = 0.0,
) -> float:
    """Return how much slower work is that wants every core, while others want some as well.

    While we press, what our own threads had to wait for a core says it exactly. While we do not,
    others' share has to: cores are shared fairly, so beside one other that is busy on all of them
    work would take twice as long. What the host beneath stole was not there at all. Between 1 and
    10; the predictor learns with which power it counts.

    Args:
        elsewhere: Share of the cores' time that others had, 0 to 1.
        stolen: Share that the host beneath took, 0 to 1.
        rivals: How many others want a core that is never idle.
        held: Time that our threads wanted by the time that they had, at least 1.
        pressing: How much of a core they wanted, 0 to 1 and more.

    Source: term N of ECS = f(T, C, B, N): a machine that serves others as well.
    Checked by: tests/unit/node/test_strain.py.
    """
    shared = 1.0 + rivals * min(1.0, max(0.0, elsewhere))
    sure = min(1.0, max(0.0, pressing / PRESSED))
    shared += sure * (max(1.0, held) - shared)
    return min(10.0, shared / max(0.1, 1.0 - max(0.0, stolen)))


def rivals_after(rivals: float, elsewhere: float, held: float) -> float:
    """Return how many others want a core, after a moment in which our threads pressed.

    What others had while we pressed, by what we had, is what they would have had of idle cores.

    Args:
        rivals: As was thought before.
        elsewhere: Share of the cores' time that others had, 0 to 1.
        held: Time that our threads wanted by the time that they had, at least 1.

    Checked by: tests/unit/node/test_strain.py.
    """
    wanted = min(1.0, elsewhere * held)
    if wanted < NOTICED:
        return rivals
    found = min(MOST_RIVALS, max(0.0, held - 1.0) / wanted)
    return rivals + RIVAL_WEIGHT * (found - rivals)
