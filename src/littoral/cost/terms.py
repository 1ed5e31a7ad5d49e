"""Terms: the scalars that every prediction is made of."""

import math


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


def strain(elsewhere: float, stolen: float) -> float:
    """Return how much slower work is that wants every core, while others want some as well.

    Cores are shared fairly: with others busy on all of them work takes twice as long, whether it
    ran meanwhile or not. What the host beneath stole was not there at all. Between 1 and 10; the
    predictor learns with which power it counts, as others may want more than they get.

    Args:
        elsewhere: Share of the cores' time that others had, 0 to 1.
        stolen: Share that the host beneath took, 0 to 1.

    Source: term N of ECS = f(T, C, B, N): a machine that serves others as well.
    Checked by: tests/unit/node/test_strain.py.
    """
    shared = 1.0 + min(1.0, max(0.0, elsewhere))
    return min(10.0, shared / max(0.1, 1.0 - max(0.0, stolen)))
