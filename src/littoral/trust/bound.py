"""Bound: a node's share of a limit, as the words of its row that gateways go by."""

from littoral.domain.limits import NEVER_US, Limits, nanos
from littoral.domain.quota import (
    CAP,
    CAP_SINCE,
    INTERVAL,
    INTERVAL_IN,
    OPEN,
    PACE,
    PACE_IN,
    STANDING,
    QuotaTable,
)
from littoral.domain.share import Slice, slowed
from littoral.trust.limit import per_minute


def bound(table: QuotaTable, row: int, *, limits: Limits, given: Slice) -> None:
    """Write this node's share of a limit into its row.

    Args:
        table: Where limits are counted.
        row: The limit's.
        limits: What was declared; a share is never more.
        given: The share.
    """
    words, at = table.words, table.at(row)
    for rate, word, told_in in (
        (limits.requests_per_minute, PACE, PACE_IN),
        (limits.tokens_per_minute, INTERVAL, INTERVAL_IN),
    ):
        words[at + word] = slowed(per_minute(rate)[0], given.rate) if rate else 0
        words[at + told_in] = words[at + told_in] or words[at + word]
    words[at + OPEN] = min(given.open, limits.concurrent or 0)
    most = nanos(limits.budget.amount) if limits.budget else 0
    words[at + STANDING] = min(given.standing, most)
    if words[at + CAP_SINCE] != given.since:
        words[at + CAP_SINCE] = NEVER_US  # until the amount is there, nothing may be spent
    words[at + CAP] = min(given.amount, most)
    words[at + CAP_SINCE] = given.since
