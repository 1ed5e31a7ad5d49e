"""Choice: which place takes a request, or why none does."""

from collections.abc import Iterable, Mapping
from typing import Final

from littoral.domain.errors import Loading, NoCandidate, Overloaded, Unavailable
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import ModelRow
from littoral.gateway.wanted import Wanted
from littoral.placement.decide import Row, Verdict, rank
from littoral.placement.filters import CAPABILITIES
from littoral.placement.warmth import restored, warmed

AHEAD: Final = 1
"""Requests beyond its slots that an endpoint holds, so that it never waits for the next."""
SPARE: Final = 64
"""The same for requests whose first place failed: they have waited before."""
FULL: Final = refuse(Overloaded, "every slot is taken")
"""The refusal of a request that may wait: compare with ``is``."""


def choose(  # noqa: PLR0913  ADR 0008: the request comes as scalars on the hot path
    model: ModelRow,
    *,
    needs: int,
    tokens_in: int,
    tokens_out: int,
    total_s: float,
    skip: int,
    warm: int = -1,
    aside: int = 0,
    wanted: Wanted | None = None,
    length: float = 0.0,
    outside: int = 0,
) -> Verdict | Refusal:
    """Rank the model's places with their present loads.

    Args:
        model: Its places are the candidates, by position.
        needs: Capabilities, as bits.
        tokens_in: Input, tokens.
        tokens_out: Output to expect, tokens.
        total_s: Deadline, seconds from now; ``inf`` for none.
        skip: Positions already tried, as bits.
        warm: The position that served the same beginning before; -1 for none.
        aside: Positions that shall take it only where no other can, as bits.
        wanted: What a policy asks.
        length: Log half-width from p50 to p90 of the output.
        outside: Positions that may not be asked, whatever the policy says, as bits.
    """
    rows = model.flat
    loads = [place.in_flight if place.loads is None else place.load() for place in model.places]
    if warm >= 0:
        rows = warmed(model.rows, warm)
    room, full = SPARE if skip else AHEAD, 0
    barred, miss_cost = outside, 0.0
    if wanted is not None:
        needs |= wanted.needs
        barred, miss_cost = outside | model.bar(wanted), model.price(wanted, tokens_in)
        total_s = min(total_s, wanted.total_s)
    while True:
        verdict = rank(
            rows,
            loads,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            mask=needs,
            total_s=total_s,
            skip=skip | full | aside,
            length=length,
            miss_cost=miss_cost,
            barred=barred,
        )
        at = verdict[0]
        if at < 0 and aside:
            aside = 0
            continue
        if at < 0:
            return FULL if full else _refusal(model, verdict, skip=skip, needs=needs, by=wanted)
        if loads[at] < rows[at][4] + room:
            if warm >= 0:
                verdict = restored(verdict, warm)
            return verdict._replace(why="fastest") if full and not skip else verdict
        full |= 1 << at


def expect(  # noqa: PLR0913  the request comes as scalars, as for ``choose``
    model: ModelRow,
    *,
    needs: int,
    tokens_in: int,
    tokens_out: int,
    total_s: float,
    wanted: Wanted | None = None,
    length: float = 0.0,
) -> Verdict | Refusal:
    """Say what a request would take if nobody else were there, or why it can go nowhere."""
    barred = 0
    if wanted is not None:
        needs |= wanted.needs
        barred, total_s = model.bar(wanted), min(total_s, wanted.total_s)
    verdict = rank(
        model.rows,
        [0] * len(model.rows),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        mask=needs,
        total_s=total_s,
        skip=0,
        length=length,
        barred=barred,
    )
    if verdict.position >= 0:
        return verdict
    return _refusal(model, verdict, skip=0, needs=needs, by=wanted)


def able(models: Mapping[str, ModelRow], names: Iterable[str], *, needs: int) -> list[str]:
    """Names of those models of which a place has every capability needed, in the order given."""
    return [
        name for name in names if any(r.ready and not needs & ~r.mask for r in models[name].rows)
    ]


def _refusal(
    model: ModelRow, verdict: Verdict, *, skip: int, needs: int, by: Wanted | None
) -> Refusal:
    if by is not None and verdict.why == "shed":
        return refuse(Overloaded, _hopeless(by), retry_after_s=max(1.0, verdict.total_p50))
    return _nobody(model, verdict, skip=skip, needs=needs, by=by)


def _nobody(
    model: ModelRow, verdict: Verdict, *, skip: int, needs: int, by: Wanted | None
) -> Refusal:
    resident, capability, context, unready, _, shut = verdict.rejected
    states = {place.endpoint.state for place in model.places}
    if not model.places or (unready and "starting" in states):
        return refuse(Loading, f"{model.name!r} is being loaded", retry_after_s=5.0)
    if unready or skip:
        reasons = "; ".join(sorted({p.endpoint.reason for p in model.places if p.endpoint.reason}))
        message = f"no endpoint of {model.name!r} answers now" + (f": {reasons}" if reasons else "")
        return refuse(Unavailable, message, retry_after_s=10.0)
    if not capability:
        return refuse(NoCandidate, _forbidden(model, resident, shut, by=by))
    lacking = ", ".join(_lacking(model.rows, needs))
    message = f"no endpoint of {model.name!r} may serve this request: {capability} lack {lacking}"
    return refuse(NoCandidate, message + (f", {context} have too short a context" * bool(context)))


def _forbidden(model: ModelRow, resident: int, shut: int, *, by: Wanted | None) -> str:
    if by is not None and shut:
        return f"the policy {by.name!r} allows no endpoint of {model.name!r} that could serve it"
    if resident:
        return _abroad(model)
    return f"the request is longer than the context of every endpoint of {model.name!r}"


def _hopeless(by: Wanted) -> str:
    return (
        f"the deadline of the policy {by.name!r} would be missed wherever this request goes, or by "
        "those that are there already; that costs more than to refuse it"
    )


def _abroad(model: ModelRow) -> str:
    return (
        f"every endpoint of {model.name!r} that could serve this request, or the way to it, lies "
        "outside the residency of its project"
    )


def _lacking(rows: Iterable[Row], needs: int) -> list[str]:
    """The needed capabilities that at least one row lacks, in their common order."""
    missing = 0
    for row in rows:
        missing |= needs & ~row.mask
    return [name for at, name in enumerate(CAPABILITIES) if missing >> at & 1]
