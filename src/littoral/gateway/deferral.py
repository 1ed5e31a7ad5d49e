"""Deferral: which requests may wait at a node for a place, and how that is told."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from littoral.domain.deferral import Deferral, DeferralPage, DeferralView
from littoral.domain.errors import (
    BudgetExhausted,
    Conflict,
    ControlUnreachable,
    DeadlinePassed,
    InvalidInput,
    LimitReached,
    Loading,
    NoCandidate,
    Overloaded,
    PolicyExpired,
    TooLarge,
    Unavailable,
    UnknownModel,
    UpstreamFailed,
)
from littoral.domain.units import SECOND_US
from littoral.gateway.dialect.responses import wish as wishes
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import RESPONSES, ROUTES, Route

PATH: Final = "/v1/deferred"
PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/score",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/audio/speech",
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
)
"""Those that ask one engine for something that takes a while."""
DEFERRABLE: Final[Mapping[str, Route]] = {path: ROUTES[path.encode()] for path in PATHS}
MOST_BODY: Final = 8 * 1024 * 1024
MOST_OF_A_PAGE: Final = 100
_WAITS: Final = frozenset(
    kind.code
    for kind in (
        ControlUnreachable,
        DeadlinePassed,
        Loading,
        Overloaded,
        PolicyExpired,
        Unavailable,
        UpstreamFailed,
    )
)
_WAITS_OFFLINE: Final = frozenset({NoCandidate.code, UnknownModel.code})
"""What may be otherwise once control is back."""
_LATER: Final = _WAITS | _WAITS_OFFLINE | {LimitReached.code, BudgetExhausted.code}
_COUNTED: Final = frozenset({UpstreamFailed.code, DeadlinePassed.code})
_SHORT_S: Final = 2.0
_LONG_S: Final = 30.0
_ENCODE: Final = msgspec.json.Encoder().encode


def path_of(route: Route) -> str:
    """The path of a route whose requests may be deferred; empty where they may not."""
    return next((path for path, each in DEFERRABLE.items() if each is route), "")


def check(route: Route, body: bytes) -> Refusal | None:
    """Say whether a request may be deferred at all."""
    if not path_of(route):
        paths = ", ".join(PATHS)
        message = f"x-littoral-defer is served at these paths only: {paths}"
        return refuse(InvalidInput, message, param="x-littoral-defer")
    if len(body) > MOST_BODY:
        message = f"a request with x-littoral-defer may have {MOST_BODY} bytes"
        return refuse(TooLarge, message, param="x-littoral-defer")
    return _check_wish(body) if route is RESPONSES else None


def _check_wish(body: bytes) -> Refusal | None:
    found = wishes.read(body)
    if isinstance(found, Refusal):
        return None  # the route says what is wrong with it
    wish, _ = found
    for name in ("background", "store", "previous_response_id"):
        if getattr(wish, name):
            message = (
                f"{name} and x-littoral-defer cannot be had together: a deferred response is kept "
                f"under {PATH}"
            )
            return refuse(InvalidInput, message, param=name)
    return None


def waits(refusal: Refusal, *, offline: bool) -> bool:
    """Whether a refused request may be answered later, by this node or another."""
    return refusal.code in _WAITS or (offline and refusal.code in _WAITS_OFFLINE)


def again(refusal: Refusal) -> tuple[float, bool] | None:
    """When a run that was refused may be tried again, seconds, and whether it counts as one.

    None where it never may.
    """
    if refusal.code not in _LATER:
        return None
    usual = _LONG_S if refusal.code == BudgetExhausted.code else _SHORT_S
    return refusal.retry_after_s or usual, refusal.code in _COUNTED


def shown(deferral: Deferral) -> DeferralView:
    """A deferral as clients see it."""
    return DeferralView(
        id=deferral.id,
        status=deferral.state,
        reason=deferral.reason or None,
        path=deferral.path,
        model=deferral.model,
        request_id=deferral.request,
        attempts=deferral.runs,
        created_at=deferral.accepted_us // SECOND_US,
        expires_at=deferral.expires_us // SECOND_US,
        ended_at=None if deferral.ended_us is None else deferral.ended_us // SECOND_US,
        kept_until=deferral.keep_us // SECOND_US,
        result=f"{place_of(deferral)}/result" if deferral.state == "completed" else None,
    )


def place_of(deferral: Deferral) -> str:
    """Where a client asks for it."""
    return f"{PATH}/{deferral.id}"


def used_otherwise(idempotency: str) -> Refusal:
    """The refusal of an idempotency key that came with another body."""
    message = (
        f"the idempotency key {idempotency!r} came with another body; use each for one request"
    )
    return refuse(Conflict, message, param="idempotency-key")


def told(deferral: Deferral) -> bytes:
    """The body of an answer about one."""
    return _ENCODE(shown(deferral))


def page(found: Sequence[Deferral], *, limit: int) -> bytes:
    """The body of a list: up to ``limit`` of what was found, which is one more where there is more.

    ``next`` is what to ask for as ``before`` to see the rest.
    """
    some = found[:limit]
    more = len(found) > limit
    after = some[-1].number if more else None
    views = tuple(shown(each) for each in some)
    return _ENCODE(DeferralPage(data=views, has_more=more, next=after))


def deleted(name: str) -> bytes:
    """What is said of one that is no more."""
    return _ENCODE({"id": name, "object": "deferred", "deleted": True})


def unanswered(deferral: Deferral) -> Refusal:
    """Why a deferral has no result to show."""
    if deferral.ended_us is None:
        message = f"{deferral.id} is {deferral.state}: ask for its result once it is completed"
        return refuse(Conflict, message, retry_after_s=_SHORT_S)
    return refuse(Conflict, f"{deferral.id} is {deferral.state}: {deferral.reason}")
