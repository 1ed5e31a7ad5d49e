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
TENTH: Final = 1.2815515655446004 / math.sqrt(2.0)
"""Makes a deadline that is just the p90 be missed in one of ten: the normal's tail at z = 1."""


class Row(NamedTuple):
    """A candidate folded for ``rank``: made when it changes, never per request.

    ``mask`` has a bit a capability; ``t0``, ``t_in``, ``t_step`` are seconds; ``spread`` is p90
    divided by p50; prices are per million tokens. ``usable`` is the probability that it answers;
    ``t_crowd`` the seconds that each output token adds to those of others; ``harm`` how many of
    those under way there would miss their deadlines for each second that they are held up.
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
    usable: float = 1.0
    t_crowd: float = 0.0
    harm: float = 0.0


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
    miss_cost: float = 0.0,
) -> Verdict:
    """Choose a row: of those that pass the filters the cheapest, of equally cheap the fastest.

    Where only the deadline is in the way, the one with the smallest p50. Where a miss has a price,
    the smallest sum of cost, of the own miss and of the misses caused there; refusing, ``shed``,
    costs one miss and harms nobody. Ties go to the lower position. ``sum(rejected)``, the rows that
    passed and those skipped add up to all rows.

    Args:
        rows: Candidates in a fixed order.
        loads: Requests under way on each row.
        tokens_in: Input, tokens.
        tokens_out: Output to expect, tokens, at least 1.
        mask: Capabilities needed, from ``capability_mask``.
        total_s: Deadline on the last token, seconds from now; ``inf`` for none.
        skip: Bit mask of positions that were already tried.
        miss_cost: What a missed deadline costs; 0 takes the cheapest that keeps it.

    Source: cheapest within the deadline on the p90 bound, ADR 0008.
    Checked by: tests/unit/placement/test_rank.py, and against the filters in test_decide.py.
    """
    capability = short = unready = 0
    passed: list[_Option] = []
    late: list[_Option] = []
    for position, row in enumerate(rows):
        _, ready, has, context, slots, t0, t_in, t_step, spread, price_in, price_out, _, _, _ = row
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
    rejected = (capability, short, unready, len(late))
    if miss_cost > 0.0 and total_s < math.inf and (passed or late):
        stakes = _Stakes(tokens_in, tokens_out, total_s, miss_cost)
        return _priced(rows, passed, late, rejected=rejected, stakes=stakes)
    return _verdict(passed, late, rejected, retry=skip > 0)


def _verdict(
    passed: Sequence[_Option],
    late: Sequence[_Option],
    rejected: tuple[int, int, int, int],
    *,
    retry: bool,
) -> Verdict:
    best, near, limit = _NOBODY, 0, math.inf
    for option in passed:
        if option[1] < limit:  # noqa: PLR1730  ADR 0008: min() is a call
            limit = option[1]
    limit *= NEAR
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


class _Stakes(NamedTuple):
    """The request as ``_priced`` needs it."""

    tokens_in: int
    tokens_out: int
    total_s: float
    miss_cost: float


def _priced(
    rows: Sequence[Row],
    passed: Sequence[_Option],
    late: Sequence[_Option],
    *,
    rejected: tuple[int, int, int, int],
    stakes: _Stakes,
) -> Verdict:
    """Choose by cost, own miss and harm together, with refusal as one more candidate."""
    tokens_in, tokens_out, total_s, miss_cost = stakes
    log, erfc, ends = math.log, math.erfc, math.log(max(total_s, 1e-9))
    score, best = math.inf, _NOBODY
    for option in passed or late:
        row = rows[option[2]]
        late_by = erfc((ends - log(option[0])) / log(option[4]) * TENTH) / 2.0
        miss = 1.0 - row[11] * (1.0 - late_by)
        if row[13]:
            miss += row[13] * (row[6] * tokens_in + row[12] * (tokens_out - 1))
        priced = option[1] / 1e6 + miss_cost * miss
        if priced < score or (priced == score and option < best):
            score, best = priced, option
    total, cost, position, first, spread = best
    if score > miss_cost:
        position = -1
    least = min(option[1] for option in passed) if passed else 0.0
    why: Why = "safest" if cost > least * NEAR else "cheapest"
    if position < 0:
        why = "shed"
    elif not passed:
        why = "least_miss"
    elif len(passed) == 1:
        why = "only"
    return Verdict(position, why, first, total, total * spread, cost / 1e6, rejected)


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
