"""Rate limits: the generic cell rate algorithm in whole nanoseconds."""


def per_minute(requests: int) -> tuple[int, int]:
    """Return ``interval_ns, burst_ns`` of a limit per minute that may be used up at once.

    Args:
        requests: At least 1.
    """
    interval_ns = 60_000_000_000 // requests
    return interval_ns, interval_ns * requests


def admit(tat: int, now: int, *, interval_ns: int, burst_ns: int, cost: int = 1) -> tuple[int, int]:
    """Admit or refuse ``cost`` units at ``now``.

    In any window W at most ``(burst_ns + W) / interval_ns`` units are admitted. A cost above
    ``burst_ns / interval_ns`` never passes: refuse it as invalid before asking here.

    Args:
        tat: Theoretical arrival time that the last call returned, ns; 0 at first.
        now: Monotonic time, ns.
        interval_ns: Time that one unit takes to come back, ns.
        burst_ns: Units that may be used at once, times ``interval_ns``.
        cost: Units asked for.

    Returns:
        The new ``tat`` and 0; or the old one and the nanoseconds after which to try again.

    Source: ITU-T I.371 annex A, virtual scheduling.
    Checked by: tests/unit/trust/test_limit.py.
    """
    after = max(tat, now) + cost * interval_ns
    excess = after - now - burst_ns
    return (tat, excess) if excess > 0 else (after, 0)
