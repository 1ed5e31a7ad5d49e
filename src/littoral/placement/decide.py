"""Decide: where a request runs. ``rank`` is the hot path, ``decide`` the same with records."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from littoral.cost.predictor import unknown
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.placement import Candidate, Decision, Prediction, Request, Why
from littoral.domain.units import Seconds
from littoral.placement.filters import REASONS, capability_mask

NEAR: Final = 1.01
"""Costs within this factor of the cheapest count as equal: the faster candidate wins."""
UNBOUNDED: Final = 1 << 62
"""Context of a candidate that does not say its own."""
NARROWEST: Final = 0.02
"""A p90 is always this much above its p50, log seconds."""


class Row(NamedTuple):
    """A candidate folded for ``rank``: made when it changes, never per request.

    ``mask`` has a bit a capability; ``t0``, ``t_in``, ``t_step`` are seconds; ``spread`` is p90
    divided by p50; prices are per million tokens.
    """

    id: str
    ready: bool
    mask: int
    context: int
    slots: int
    t0: float
    t_in: float
    t_step: float
    spread: float
    price_in: float
    price_out: float


class Verdict(NamedTuple):
    """Which row, why, what it will take (seconds) and cost, and the rejections by ``Reason``."""

    position: int
    why: Why
    first_p50: float
    total_p50: float
    total_p90: float
    cost: float
    rejected: tuple[int, int, int, int]


_Option: TypeAlias = tuple[float, float, int, float, float]
"""total_p50, cost times 1e6, position, first_p50, spread: the lesser of two is the faster."""
_NOBODY: Final[_Option] = (math.inf, math.inf, -1, 0.0, 0.0)
# ADR 0008: ``_new`` costs half of ``Verdict(...)``.
_Fields: TypeAlias = tuple[int, Why, float, float, float, float, tuple[int, int, int, int]]
_new: Callable[[type[Verdict], _Fields], Verdict] = tuple.__new__  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  generic


def rank(  # noqa: PLR0913  ADR 0008: the request comes as scalars on the hot path
    rows: Sequence[Row],
    loads: Sequence[int],
    *,
    tokens_in: int,
    tokens_out: int,
    mask: int,
    total_s: float,
    skip: int,
) -> Verdict:
    """Choose a row: of those that pass the filters the cheapest, of equally cheap the fastest.

    Where only the deadline is in the way, the one with the smallest p50. Ties go to the lower
    position. ``sum(rejected)``, the rows that passed and those skipped add up to all rows.

    Args:
        rows: Candidates in a fixed order.
        loads: Requests under way on each row.
        tokens_in: Input, tokens.
        tokens_out: Output to expect, tokens, at least 1.
        mask: Capabilities needed, from ``capability_mask``.
        total_s: Deadline on the last token, seconds from now; ``inf`` for none.
        skip: Bit mask of positions that were already tried.

    Source: cheapest within the deadline on the p90 bound, ADR 0008.
    Checked by: tests/unit/placement/test_rank.py, and against the filters in test_decide.py.
    """
    capability = short = unready = 0
    cheapest = math.inf
    passed: list[_Option] = []
    late: list[_Option] = []
    for position, row in enumerate(rows):
        _, ready, has, context, slots, t0, t_in, t_step, spread, price_in, price_out = row
        if skip and skip >> position & 1:
            continue
        if mask & ~has:
            capability += 1
        elif tokens_in + tokens_out > context:
            short += 1
        elif not ready:
            unready += 1
        else:
            first = t0 + t_in * tokens_in
            total = first + t_step * (tokens_out - 1)
            over = loads[position] - slots
            if over >= 0:
                wait = (over + 1) / slots * total
                first += wait
                total += wait
            cost = tokens_in * price_in + tokens_out * price_out
            if total * spread > total_s:
                late.append((total, cost, position, first, spread))
            else:
                passed.append((total, cost, position, first, spread))
                if cost < cheapest:  # noqa: PLR1730  ADR 0008: min() is a call
                    cheapest = cost
    rejected = (capability, short, unready, len(late))
    return _verdict(passed, late, rejected, limit=cheapest * NEAR, retry=skip > 0)


def _verdict(
    passed: Sequence[_Option],
    late: Sequence[_Option],
    rejected: tuple[int, int, int, int],
    *,
    limit: float,
    retry: bool,
) -> Verdict:
    best, near = _NOBODY, 0
    for option in passed:
        if option[1] <= limit:
            near += 1
            if option < best:  # noqa: PLR1730  ADR 0008: min() is a call
                best = option
    why: Why = "only" if len(passed) == 1 else "cheapest" if near == 1 else "fastest"
    if not near:
        if not late:
            return Verdict(-1, "none", 0.0, 0.0, 0.0, 0.0, rejected)
        best, why = min(late), "least_miss"
    total, cost, position, first, spread = best
    return _new(
        Verdict,
        (
            position,
            "retry" if retry else why,
            first,
            total,
            total * spread,
            cost / 1e6,
            rejected,
        ),
    )


def row_of(candidate: Candidate, folded: Folded) -> Row:
    """Flatten a candidate and its learned coefficients for ``rank``."""
    return Row(
        candidate.id,
        candidate.ready,
        capability_mask(candidate.capabilities),
        candidate.context or UNBOUNDED,
        max(candidate.slots, 1),
        folded.t0,
        folded.t_in,
        folded.t_step,
        math.exp(max(folded.scale * folded.width, NARROWEST)),
        candidate.price_in,
        candidate.price_out,
    )


def decide(
    request: Request, candidates: Sequence[Candidate], folds: Mapping[EndpointId, Folded]
) -> Decision:
    """Choose a candidate, with the prediction for it and the count of every rejection.

    The order of the candidates does not matter: ties go to the lowest id. A candidate without
    coefficients gets the cautious ones of an unknown machine.

    Args:
        request: What is asked.
        candidates: Endpoints that serve the model.
        folds: Learned coefficients by endpoint.

    Checked by: tests/unit/placement/test_decide.py.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.id)
    known = [folds.get(candidate.id) or unknown(candidate.id) for candidate in ordered]
    verdict = rank(
        [row_of(candidate, folded) for candidate, folded in zip(ordered, known, strict=True)],
        [candidate.in_flight for candidate in ordered],
        tokens_in=request.tokens_in,
        tokens_out=request.tokens_out,
        mask=capability_mask(request.needs),
        total_s=math.inf if request.total_s is None else request.total_s,
        skip=0,
    )
    return Decision(
        request=request.id,
        chosen=ordered[verdict.position].id if verdict.position >= 0 else None,
        why=verdict.why,
        prediction=_prediction(verdict, known),
        rejected=dict(zip(REASONS, verdict.rejected, strict=True)),
    )


def _prediction(verdict: Verdict, known: Sequence[Folded]) -> Prediction | None:
    if verdict.position < 0:
        return None
    folded = known[verdict.position]
    return Prediction(
        candidate=folded.endpoint,
        coefficients=folded.version,
        first_p50_s=Seconds(verdict.first_p50),
        total_p50_s=Seconds(verdict.total_p50),
        total_p90_s=Seconds(verdict.total_p90),
        cost=verdict.cost,
    )
