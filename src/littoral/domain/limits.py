"""Limits: how much a key, a project or a model may be used, and what a budget's period is.

Money is counted in whole nano-units of the platform's currency (1e-9), so that sums are exact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from littoral.domain.units import HOUR_US, Micros
from littoral.domain.usage import UsageRecord

Period: TypeAlias = Literal["hour", "day", "month", "total"]
"""Calendar periods in UTC; ``total`` never begins anew."""
PERIODS: tuple[Period, ...] = ("total", "hour", "day", "month")
NEVER_US = (1 << 63) - 1
NANO = 1_000_000_000
_SPAN = {"hour": 1, "day": 24}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Money that may be spent in each period, in the platform's currency."""

    amount: float
    period: Period = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of use; what is None is not bounded.

    ``concurrent`` is how many requests may be under way at one time.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent: int | None = None
    budget: Budget | None = None


NO_LIMITS = Limits()
NO_PERIOD = "-"
"""Stands for the period where there is no budget."""


def limit_ids(key: str, project: str, model: str) -> tuple[str, str, str]:
    """Names under which the limits of a key, its project and a model are kept and counted."""
    return f"key:{key}", f"project:{project}", f"model:{model}"


def period_named(text: str) -> Period | None:
    """The period of this name, where there is one."""
    return next((period for period in PERIODS if period == text), None)


def nanos(cost: float) -> int:
    """Money as a whole number of nano-units."""
    return round(cost * NANO)


def period_of(period: Period, at_us: int) -> tuple[Micros, Micros]:
    """The period in which a moment lies: its first microsecond, and that of the next one."""
    if period == "total":
        return Micros(0), Micros(NEVER_US)
    if period == "month":
        at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
        first = datetime(at.year, at.month, 1, tzinfo=UTC)
        after = datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
        return _micros(first), _micros(after)
    span = _SPAN[period] * HOUR_US
    since = at_us // span * span
    return Micros(since), Micros(since + span)


def _micros(at: datetime) -> Micros:
    return Micros(int(at.timestamp()) * 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent under one limit id in one hour, in nano-units.

    ``hour`` counts from 1970; 0 holds all that is too old for any period but ``total``.
    """

    limit: str
    hour: int
    amount: int


def spendings(records: Iterable[UsageRecord]) -> Iterator[Spent]:
    """What usage records add, summed: each to its key, its project and its model."""
    sums: dict[tuple[str, int], int] = {}
    for record in records:
        amount, hour = nanos(record.cost), record.at_us // HOUR_US
        if amount:
            for limit in limit_ids(record.key, record.project, record.model):
                sums[limit, hour] = sums.get((limit, hour), 0) + amount
    return (Spent(limit=name, hour=hour, amount=n) for (name, hour), n in sums.items())
