"""Gauge: what a node's minutes come to: requests and tokens as sums, the rest as means."""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from littoral.domain.usage import UsageRecord

MINUTE_S: Final = 60
MOST: Final = 2048
"""Latest answers of a span that its quantiles are taken from."""
COARSER: Final = ((0.8, 3600), (0.5, 300))
"""From which share of the lane's quota on, how long a span is, seconds."""
QUANTILES: Final = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))
SUMS: Final = ("requests", "failed", "cancelled", "tokens_in", "tokens_cached", "tokens_out")
"""Figures that add up over spans and nodes; all others are means or quantiles of their span."""


def span_s(share: float) -> int:
    """How long a span is where so much of the lane's quota is taken: coarser, the fuller.

    Checked by: tests/unit/domain/test_gauge.py.
    """
    return next((span for full, span in COARSER if share >= full), MINUTE_S)


class Gauge:
    """One span under way."""

    def __init__(self) -> None:
        self._sums = dict.fromkeys(SUMS, 0)
        self._firsts: deque[int] = deque(maxlen=MOST)
        self._totals: deque[int] = deque(maxlen=MOST)
        self._seen: dict[str, tuple[float, int]] = {}

    def add(self, records: Iterable[UsageRecord]) -> None:
        """Count requests that ended; further tries of one are not counted as requests."""
        sums = self._sums
        for record in records:
            sums["requests"] += record.attempt == 0
            sums["failed"] += record.status in {"failed", "interrupted"}
            sums["cancelled"] += record.status == "cancelled"
            sums["tokens_in"] += record.tokens_in
            sums["tokens_cached"] += record.tokens_cached
            sums["tokens_out"] += record.tokens_out
            if record.status == "ok":
                self._firsts.append(record.first_us)
                self._totals.append(record.total_us)

    def see(self, values: Mapping[str, float | None]) -> None:
        """Take one look at what goes up and down; None is not measured here."""
        for name, value in values.items():
            if value is not None:
                total, count = self._seen.get(name, (0.0, 0))
                self._seen[name] = (total + value, count + 1)

    def figures(self) -> Mapping[str, float]:
        """What the span comes to; times are seconds.

        Checked by: tests/unit/domain/test_gauge.py.
        """
        found = {name: float(value) for name, value in self._sums.items()}
        for what, times in (("first", self._firsts), ("total", self._totals)):
            ordered = sorted(times)
            for share, name in QUANTILES if ordered else ():
                rank = min(len(ordered) - 1, int(share * len(ordered)))
                found[f"{what}_{name}_s"] = ordered[rank] / 1e6
        means = {name: round(total / count, 6) for name, (total, count) in self._seen.items()}
        return found | means
