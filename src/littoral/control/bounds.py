"""Bounds of declared numbers, and of limits."""

import math

from littoral.domain.errors import InvalidInput
from littoral.domain.limits import Limits
from littoral.domain.rollout import RolloutSpec
from littoral.domain.site import SiteSpec

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


def check_rollout(spec: RolloutSpec | None) -> None:
    """Check the steps and bounds of a rollout.

    Raises:
        InvalidInput: A value is outside its range, or the steps do not rise to 100.
    """
    if spec is None:
        return
    steps = spec.steps
    if not steps or steps[-1] != 100 or list(steps) != sorted(set(steps)) or steps[0] < 1:
        text = "steps are whole percents from 1 on, each above the last, and end with 100"
        raise refuse("spec.rollout.steps", text)
    within("spec.rollout.minutes", spec.minutes, (0, 100_000))
    within("spec.rollout.requests", spec.requests, (2, 4000))
    within("spec.rollout.nodes", spec.nodes, (0.0, 1.0))
    within("spec.rollout.latency", spec.latency, (1.0, 100.0))
    within("spec.rollout.errors", spec.errors, (0.0, 100.0))
    within("spec.rollout.quality", spec.quality, (0.0, 100.0))
    within("spec.rollout.golden", spec.golden, (0, 4000))


def check_site(spec: SiteSpec) -> None:
    """Check what is agreed for a site.

    Raises:
        InvalidInput: A value is outside its range.
    """
    within("spec.title", len(spec.title), (0, 200))
    within("spec.offline_days", spec.offline_days, (1, 90))
    within("spec.snapshot_hours", spec.snapshot_hours, (1, 720))
    within("spec.bandwidth.kbit_s", spec.bandwidth.kbit_s, (0, 100_000_000))
    within("spec.bandwidth.from_hour", spec.bandwidth.from_hour, (0, 23))
    within("spec.bandwidth.to_hour", spec.bandwidth.to_hour, (0, 23))
    within("spec.disconnect.lost_after_s", spec.disconnect.lost_after_s, (0, 31_536_000))
