"""Limits as words of the command line, and as one word of a table."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from littoral.domain.errors import InvalidInput
from littoral.domain.limits import PERIODS, Budget, Limits, period_named


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits as flags.

    Args:
        rpm: Most requests a minute.
        tpm: Most tokens a minute, in and out.
        concurrent: Most requests under way at one time.
        budget: Money in each period, such as 20/month; periods: hour, day, month, total.
    """

    rpm: Annotated[int | None, Parameter(name="--rpm")] = None
    tpm: Annotated[int | None, Parameter(name="--tpm")] = None
    concurrent: Annotated[int | None, Parameter(name="--concurrent")] = None
    budget: Annotated[str | None, Parameter(name="--budget")] = None

    def limits(self) -> Limits:
        """The limits that the flags say.

        Raises:
            InvalidInput: The budget cannot be read.
        """
        return Limits(
            requests_per_minute=self.rpm,
            tokens_per_minute=self.tpm,
            concurrent=self.concurrent,
            budget=None if self.budget is None else _budget(self.budget),
        )


UNBOUNDED = Bounds()


def shown_limits(limits: Limits) -> str:
    """Limits in one word of a table; ``-`` for none."""
    budget = limits.budget
    words = (
        (limits.requests_per_minute, "rpm={}"),
        (limits.tokens_per_minute, "tpm={}"),
        (limits.concurrent, "concurrent={}"),
        (None if budget is None else f"{budget.amount:g}/{budget.period}", "budget={}"),
    )
    return ",".join(word.format(value) for value, word in words if value is not None) or "-"


def _budget(text: str) -> Budget:
    amount, _, word = text.partition("/")
    period = period_named(word or "month")
    try:
        money = float(amount)
    except ValueError:
        money = -1.0
    if period is None or money < 0:
        raise InvalidInput(
            f"--budget: {text!r} is no budget; give an amount and one of {', '.join(PERIODS)}, "
            "such as 20/month",
            param="budget",
        )
    return Budget(amount=money, period=period)
