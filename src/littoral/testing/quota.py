"""A quota table in memory."""

from collections.abc import Mapping

from littoral.domain.limits import Limits
from littoral.domain.quota import QuotaTable, renew, table_bytes
from littoral.domain.share import whole
from littoral.trust.bound import bound


def quota_table(*, columns: int = 2, mine: int = 1, rows: int = 8) -> QuotaTable:
    """Make an empty table of one process."""
    words = memoryview(bytearray(table_bytes(columns, rows))).cast("q")
    renew(words, 1, rows)
    return QuotaTable(words, columns=columns, mine=mine, rows=rows)


def bound_whole(table: QuotaTable, limits: Mapping[str, Limits], rows: Mapping[str, int]) -> None:
    """Let a node have limits to itself."""
    for name, each in limits.items():
        if name in rows:
            bound(table, rows[name], limits=each, given=whole(each))
