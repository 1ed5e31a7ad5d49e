"""Votes: what callers think of the answers they got."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from littoral.domain.audit import Vote
from littoral.domain.ids import RequestId
from littoral.domain.units import Micros
from littoral.gateway import admission
from littoral.gateway.body import Reader
from littoral.gateway.refusal import Refusal
from littoral.gateway.table import KeyRow

PATH: Final = b"/v1/votes"
_ENCODE: Final = msgspec.json.Encoder().encode


class Ballot(Struct):
    """``POST /v1/votes``: how good the answer to a request of this key was, 0 to 1."""

    request: Annotated[str, Meta(pattern=r"^req_[a-z0-9]{1,64}$")]
    score: Annotated[float, Meta(ge=0, le=1)]


class StrictBallot(Ballot, forbid_unknown_fields=True):
    """The same, of known fields only."""


class Counted(Struct):
    """The answer: the vote is on its way."""

    request: str
    score: float
    object: str = "vote"


_read = Reader(StrictBallot, Ballot).read


def read(key: KeyRow, body: bytes, *, at_us: int) -> Vote | Refusal:
    """Decode a vote; control looks whose request it was, and drops one of another key's."""
    refusal = admission.check_scope(key)
    if refusal is not None:
        return refusal
    found = _read(body)
    if isinstance(found, Refusal):
        return found
    ballot, _ = found
    return Vote(
        at_us=Micros(at_us),
        request=RequestId(ballot.request),
        key=key.grant.id,
        score=ballot.score,
    )


def told(vote: Vote) -> bytes:
    """The body of the answer."""
    return _ENCODE(Counted(vote.request, vote.score))
