"""Choice: which place takes a request, or why none does."""

from collections.abc import Iterable, Mapping
from typing import Final

from littoral.domain.errors import Loading, NoCandidate, Overloaded, Unavailable
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import ModelRow
from littoral.placement.decide import Row, Verdict, rank
from littoral.placement.filters import CAPABILITIES

QUEUE: Final = 64
"""Requests beyond its slots that an endpoint may hold."""


def choose(
    model: ModelRow, *, needs: int, tokens_in: int, tokens_out: int, total_s: float, skip: int
) -> Verdict | Refusal:
    """Rank the model's places with their present loads.

    Args:
        model: Its places are the candidates, by position.
        needs: Capabilities, as bits.
        tokens_in: Input, tokens.
        tokens_out: Output to expect, tokens.
        total_s: Deadline, seconds from now; ``inf`` for none.
        skip: Positions already tried, as bits.
    """
    rows, loads = model.rows, [place.in_flight for place in model.places]
    while True:
        verdict = rank(
            rows,
            loads,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            mask=needs,
            total_s=total_s,
            skip=skip,
        )
        at = verdict[0]
        if at < 0:
            return _refusal(model, verdict, skip=skip, needs=needs)
        if loads[at] < rows[at][4] + QUEUE:
            return verdict
        skip |= 1 << at
        if skip == (1 << len(loads)) - 1:
            return _overloaded(model, verdict)


def _overloaded(model: ModelRow, verdict: Verdict) -> Refusal:
    wait_s = min(max(verdict.first_p50, 1.0), 60.0)
    return refuse(
        Overloaded, f"every slot and queue of {model.name!r} is taken", retry_after_s=wait_s
    )


def able(models: Mapping[str, ModelRow], names: Iterable[str], *, needs: int) -> list[str]:
    """Names of those models of which a place has every capability needed, in the order given."""
    return [
        name for name in names if any(r.ready and not needs & ~r.mask for r in models[name].rows)
    ]


def _refusal(model: ModelRow, verdict: Verdict, *, skip: int, needs: int) -> Refusal:
    capability, context, unready, _ = verdict.rejected
    states = {place.endpoint.state for place in model.places}
    if not model.places or (unready and "starting" in states):
        return refuse(Loading, f"{model.name!r} is being loaded", retry_after_s=5.0)
    if unready or skip:
        reasons = "; ".join(sorted({p.endpoint.reason for p in model.places if p.endpoint.reason}))
        message = f"no endpoint of {model.name!r} answers now" + (f": {reasons}" if reasons else "")
        return refuse(Unavailable, message, retry_after_s=10.0)
    if not capability:
        message = f"the request is longer than the context of every endpoint of {model.name!r}"
        return refuse(NoCandidate, message)
    lacking = ", ".join(_lacking(model.rows, needs))
    message = f"no endpoint of {model.name!r} may serve this request: {capability} lack {lacking}"
    return refuse(NoCandidate, message + (f", {context} have too short a context" * bool(context)))


def _lacking(rows: Iterable[Row], needs: int) -> list[str]:
    """The needed capabilities that at least one row lacks, in their common order."""
    missing = 0
    for row in rows:
        missing |= needs & ~row.mask
    return [name for at, name in enumerate(CAPABILITIES) if missing >> at & 1]
