"""Wait: how long a task stands in line, by replaying the line."""

import heapq
from collections.abc import Sequence


def wait(remaining: Sequence[float], queued: Sequence[float], *, stretch: float) -> float:
    """Return the seconds until the next task begins when every slot is taken.

    All slots stay busy while anyone waits, so works pass at one pace and the replay is exact.

    Args:
        remaining: Work left in each slot, seconds alone; none means a slot is free.
        queued: Work of those who wait already, in order, seconds alone.
        stretch: How much longer work takes with every slot busy: ``1 + pen * (slots - 1)``.

    Source: the wait W of a request on a node.
    Checked by: tests/unit/cost/test_wait.py.
    """
    if not remaining:
        return 0.0
    ends = list(remaining)
    heapq.heapify(ends)
    for work in queued:
        heapq.heapreplace(ends, ends[0] + work)
    return ends[0] * stretch
