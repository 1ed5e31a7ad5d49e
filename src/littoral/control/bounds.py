"""Bounds of declared numbers, and of limits."""

import math

from littoral.domain.errors import InvalidInput
from littoral.domain.limits import Limits

MOST_A_MINUTE = 1_000_000
MOST_TOKENS_A_MINUTE = 1_000_000_000
MOST_CONCURRENT = 65_536
MOST_MONEY = 1e9
LEAST_MONEY = 1e-9


def refuse(path: str, message: str) -> InvalidInput:
    """Make the error that names a field."""
    return InvalidInput(f"{path}: {message}", param=path)


def within(path: str, value: float | None, bounds: tuple[float, float]) -> None:
    """Refuse a number outside its bounds; None is in any.

    Raises:
        InvalidInput: It is outside, or not finite.
    """
    least, most = bounds
    if value is not None and not (math.isfinite(value) and least <= value <= most):
        raise refuse(path, f"{value!r} is not within {least} to {most}")


def check_limits(limits: Limits | None, *, at: str) -> None:
    """Refuse limits outside their bounds.

    Args:
        limits: What was declared.
        at: Its path, for messages.

    Raises:
        InvalidInput: What is wrong, what is allowed.
    """
    if limits is None:
        return
    within(f"{at}.requests_per_minute", limits.requests_per_minute, (1, MOST_A_MINUTE))
    within(f"{at}.tokens_per_minute", limits.tokens_per_minute, (1, MOST_TOKENS_A_MINUTE))
    within(f"{at}.concurrent", limits.concurrent, (1, MOST_CONCURRENT))
    if limits.budget is not None:
        within(f"{at}.budget.amount", limits.budget.amount, (LEAST_MONEY, MOST_MONEY))
