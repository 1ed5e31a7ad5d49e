"""A quota table in memory."""

from littoral.domain.quota import QuotaTable, renew, table_bytes


def quota_table(*, columns: int = 2, mine: int = 1, rows: int = 8) -> QuotaTable:
    """Make an empty table of one process."""
    words = memoryview(bytearray(table_bytes(columns, rows))).cast("q")
    renew(words, 1, rows)
    return QuotaTable(words, columns=columns, mine=mine, rows=rows)
