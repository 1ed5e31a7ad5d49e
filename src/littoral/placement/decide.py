"""Decide: where a request runs. ``rank`` is the hot path, ``decide`` the same with records."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from littoral.cost.predictor import NARROWEST, WIDEST, unknown
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.placement import Candidate, Decision, Prediction, Request, Why
from littoral.domain.units import Seconds
from littoral.placement.filters import REASONS, RESIDENCE, capability_mask, residence_mask

NEAR: Final = 1.01
"""Costs within this factor of the cheapest count as equal: the faster candidate wins."""
UNBOUNDED: Final = 1 << 62
"""Context of a candidate that does not say its own."""
FAR: Final = math.exp(WIDEST)
"""A deadline this many medians away is kept, whatever the width."""
SURE: Final = 1.0001
"""A deadline so many widths above the median is one that the p90 keeps, however it is rounded."""
TENTH_Z: Final = 1.2815515655446004 / math.sqrt(2.0)
"""Makes a deadline that is just the p90 be missed in one of ten: the normal's tail at z = 1."""


Rejected: TypeAlias = tuple[int, int, int, int, int, int]
"""How many rows each ``Reason`` rejected, in its order."""


class Row(NamedTuple):
    """A candidate folded for ``rank``: made when it changes, never per request.

    ``mask`` has a bit a capability and a bit a residency; ``t0``, ``t_in``, ``t_step`` are seconds
    of a request alone, ``t_crowd`` those that each other one in service adds to an output token;
    ``width`` is the log half-width from p50 to p90 of the speed, ``scale`` its conformal
    multiplier; prices are per million tokens. ``usable`` is the probability that it answers;
    ``harm`` how many of those under way there would miss their deadlines for each second that they
    are held up.
    """

    id: str
    ready: bool
    mask: int
    context: int
    slots: int
    t0: float
    t_in: float
    t_step: float
    width: float
    scale: float
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
    rejected: Rejected


_Stakes: TypeAlias = tuple[float, float]
"""The width of the output's length, and the price of a miss or 0."""
_Option: TypeAlias = tuple[float, float, float, int, float]
"""Cost with the price of a miss, or 0; total_p50, cost times 1e6, position, first_p50: the lesser
of two is the safer, where misses have no price the faster."""
_NOBODY: Final[_Option] = (math.inf, math.inf, math.inf, -1, 0.0)
# ADR 0008: ``_new`` costs half of ``Verdict(...)``.
_root, _exp, _log, _erfc = math.sqrt, math.exp, math.log, math.erfc
_Fields: TypeAlias = tuple[int, Why, float, float, float, float, Rejected]
_new: Callable[[type[Verdict], _Fields], Verdict] = tuple.__new__  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  generic


def rank(  # noqa: PLR0913, PLR0915  ADR 0008: scalars come in on the hot path, none of it calls
    rows: Sequence[Row],
    loads: Sequence[int],
    *,
    tokens_in: int,
    tokens_out: int,
    mask: int,
    total_s: float,
    skip: int,
    length: float = 0.0,
    miss_cost: float = 0.0,
    barred: int = 0,
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
        mask: What is needed, from ``capability_mask`` and ``residence_mask``.
        total_s: Deadline on the last token, seconds from now; ``inf`` for none.
        skip: Bit mask of positions that were already tried.
        length: Log half-width from p50 to p90 of the output's length.
        miss_cost: What a missed deadline costs; 0 takes the cheapest that keeps it.
        barred: Bit mask of positions that a policy does not allow; of rows only.

    Source: cheapest within the deadline on the p90 bound, ADR 0008.
    Checked by: tests/unit/placement/test_rank.py, and against the filters in test_decide.py.
    """
    resident = lacking = short = unready = 0
    passed: list[_Option] = []
    late: list[_Option] = []
    out, tokens, more = skip | barred, tokens_in + tokens_out, tokens_out - 1
    stake = miss_cost if miss_cost > 0.0 and total_s < math.inf else 0.0
    ends = _log(max(total_s, 1e-9)) if total_s < math.inf else 0.0
    for position, row in enumerate(rows):
        _, up, has, room, slots, t0, t_in, step, wide, scale, p_in, p_out, usable, crowd, harm = row
        if out and out >> position & 1:
            continue
        lack = mask & ~has
        if lack:
            lacking, resident = lacking + 1, resident + (lack >= RESIDENCE)
        elif tokens > room:
            short += 1
        elif not up:
            unready += 1
        else:
            load, first = loads[position], t0 + (reading := t_in * tokens_in)
            total = first + (step + crowd * (load if load < slots else slots - 1)) * more
            if load >= slots:
                wait = (load - slots + 1) / slots * total
                first, total = first + wait, total + wait
            cost, priced, is_late = tokens_in * p_in + tokens_out * p_out, 0.0, False
            if stake or total * FAR > total_s:
                writing = length * (1.0 - first / total)
                width = scale * _root(wide * wide + writing * writing)
                width = width if width > NARROWEST else NARROWEST  # noqa: FURB136  max() is a call
                reach = (ends - _log(total)) / width
                is_late = reach < SURE and total * _exp(min(width, WIDEST)) > total_s
                if stake:
                    miss = 1.0 - usable * (1.0 - _erfc(reach * TENTH_Z) / 2.0)
                    priced = cost / 1e6 + stake * (miss + harm * (reading + crowd * more))
            (late if is_late else passed).append((priced, total, cost, position, first))
    shut = (barred & ~skip).bit_count()
    rejected = (resident, lacking - resident, short, unready, len(late), shut)
    return _settled(rows, passed, late, stakes=(length, stake), rejected=rejected, retry=skip > 0)


def _p90(row: Row, total: float, writing: float) -> float:
    return total * math.exp(_width(row, writing))


def _width(row: Row, writing: float) -> float:
    """Return log(p90 / p50): the speed's, joined with the length's.

    ``writing`` is the length's log half-width, times the share that writing has of the request.
    """
    speed = row[8]
    width = row[9] * _root(speed * speed + writing * writing)
    return NARROWEST if width < NARROWEST else min(width, WIDEST)


def _settled(
    rows: Sequence[Row],
    passed: Sequence[_Option],
    late: Sequence[_Option],
    *,
    stakes: _Stakes,
    rejected: Rejected,
    retry: bool,
) -> Verdict:
    length, stake = stakes
    best, why = _safest(passed, late, stake) if stake else _cheapest(passed, late)
    _, total, cost, position, first = best
    if position < 0:
        return Verdict(-1, "none", 0.0, 0.0, 0.0, 0.0, rejected)
    p90 = _p90(rows[position], total, length * (1.0 - first / total))
    if why == "shed":
        position = -1
    elif retry:
        why = "retry"
    return _new(Verdict, (position, why, first, total, p90, cost / 1e6, rejected))


def _cheapest(passed: Sequence[_Option], late: Sequence[_Option]) -> tuple[_Option, Why]:
    """Choose the fastest of the cheapest; of those that are late the fastest."""
    best, near, limit = _NOBODY, 0, math.inf
    for option in passed:
        if option[2] < limit:  # noqa: PLR1730  ADR 0008: min() is a call
            limit = option[2]
    limit *= NEAR
    for option in passed:
        if option[2] <= limit:
            near += 1
            if option < best:  # noqa: PLR1730  ADR 0008: min() is a call
                best = option
    if near:
        return best, "only" if len(passed) == 1 else "cheapest" if near == 1 else "fastest"
    return (min(late) if late else _NOBODY), "least_miss"


def _safest(
    passed: Sequence[_Option], late: Sequence[_Option], stake: float
) -> tuple[_Option, Why]:
    """Choose by cost, own miss and harm together, with refusal as one more candidate."""
    best = min(passed or late, default=_NOBODY)
    if best[0] > stake and best is not _NOBODY:
        return best, "shed"
    if not passed:
        return best, "least_miss"
    if len(passed) == 1:
        return best, "only"
    least = min(option[2] for option in passed)
    return best, "safest" if best[2] > least * NEAR else "cheapest"


def row_of(candidate: Candidate, folded: Folded) -> Row:
    """Flatten a candidate and its learned coefficients for ``rank``."""
    return Row(
        candidate.id,
        candidate.ready,
        capability_mask(candidate.capabilities) | residence_mask(candidate.within),
        candidate.context or UNBOUNDED,
        max(candidate.slots, 1),
        folded.t0,
        folded.t_in,
        folded.t_step,
        folded.width,
        folded.scale,
        candidate.price_in,
        candidate.price_out,
        t_crowd=folded.t_crowd,
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
        mask=capability_mask(request.needs) | residence_mask((request.residency,)),
        total_s=math.inf if request.total_s is None else request.total_s,
        skip=0,
        length=request.length,
        miss_cost=request.miss_cost,
        barred=sum(1 << at for at, each in enumerate(ordered) if each.id in request.barred),
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
