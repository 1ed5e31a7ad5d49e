"""Header: parcels as bytes, and what the link itself says: what came, and which session goes on."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from littoral.app.codec import MAX_FRAME
from littoral.domain.errors import Damaged
from littoral.domain.lane import LANES, Parcel

ACK: Final = 3
OFFER: Final = 56
ACCEPT: Final = 57
DEFLATE_FROM, DEFLATE_UPTO = 512, 1024 * 1024
"""Bodies of so many bytes are compressed, where that helps: larger ones would hold the loop up."""

_Small = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Lane = Annotated[int, msgspec.Meta(ge=0, lt=LANES)]
_Stream = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Parcel(msgspec.Struct, array_like=True, frozen=True):
    """A parcel as it travels; elements that this build does not know are skipped."""

    kind: _Small
    lane: _Lane
    stream: _Stream
    seq: _Count
    flags: _Count
    body: bytes


class _Ack(msgspec.Struct, array_like=True, frozen=True):
    lane: _Lane
    seq: _Count
    held_us: int = -1


class Offer(msgspec.Struct, array_like=True, frozen=True):
    """The dialling end begins: which session it would go on with, and what of it came."""

    session: bytes = b""
    seen: tuple[_Count, _Count, _Count] = (0, 0, 0)


class Accept(msgspec.Struct, array_like=True, frozen=True):
    """The other end answers: which session this is now, whether it goes on, and what came."""

    session: bytes
    resumed: bool = False
    seen: tuple[_Count, _Count, _Count] = (0, 0, 0)
    resume_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acked:
    """Everything of a lane up to ``seq`` was taken; ``held_s`` ago the last of it came."""

    lane: int
    seq: int
    held_s: float | None


_ENCODER = msgspec.msgpack.Encoder()
_PARCEL = msgspec.msgpack.Decoder(_Parcel)
_ACKS: msgspec.msgpack.Decoder[list[_Ack]] = msgspec.msgpack.Decoder(list[_Ack])
_OFFER = msgspec.msgpack.Decoder(Offer)
_ACCEPT = msgspec.msgpack.Decoder(Accept)


def wrap(parcel: Parcel) -> bytes:
    """A parcel as one message."""
    return _ENCODER.encode(
        (parcel.type, parcel.lane, parcel.stream, parcel.seq, parcel.flags, parcel.body)
    )


def unwrap(message: bytes) -> Parcel:
    """Read one message.

    Raises:
        Damaged: It is no parcel.
    """
    try:
        found = _PARCEL.decode(message)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"a message that is no parcel: {error}") from None
    return Parcel(
        type=found.kind,
        lane=found.lane,
        stream=found.stream,
        seq=found.seq,
        flags=found.flags,
        body=found.body,
    )


def _own(number: int, body: bytes) -> bytes:
    return wrap(Parcel(type=number, lane=0, stream=0, seq=0, flags=0, body=body))


def acks(taken: Iterable[tuple[int, int, float | None]]) -> bytes:
    """What came, as one message."""
    rows = [(lane, seq, -1 if held is None else round(held * 1e6)) for lane, seq, held in taken]
    return _own(ACK, _ENCODER.encode(rows))


def read_acks(body: bytes) -> list[Acked]:
    """Read the body of an ``ACK``.

    Raises:
        Damaged: It is none.
    """
    try:
        rows = _ACKS.decode(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"no acknowledgement: {error}") from None
    return [
        Acked(lane=row.lane, seq=row.seq, held_s=None if row.held_us < 0 else row.held_us / 1e6)
        for row in rows
    ]


def opening(offer: Offer | Accept) -> bytes:
    """The first message of a connection, from either end."""
    return _own(OFFER if isinstance(offer, Offer) else ACCEPT, _ENCODER.encode(offer))


def read_offer(message: bytes) -> Offer:
    """Read the first message of the end that dialled.

    Raises:
        Damaged: It is no offer.
    """
    parcel = unwrap(message)
    if parcel.type != OFFER:
        raise Damaged(f"a connection begins with an offer, not with type {parcel.type}")
    try:
        return _OFFER.decode(parcel.body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"no offer: {error}") from None


def read_accept(message: bytes) -> Accept:
    """Read the answer to an offer.

    Raises:
        Damaged: It is none.
    """
    parcel = unwrap(message)
    if parcel.type != ACCEPT:
        raise Damaged(f"an offer is answered with an accept, not with type {parcel.type}")
    try:
        return _ACCEPT.decode(parcel.body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"no answer to an offer: {error}") from None


def deflated(body: bytes) -> bytes | None:
    """The body in fewer bytes; None where that is not worth it."""
    if not DEFLATE_FROM <= len(body) <= DEFLATE_UPTO:
        return None
    small = zlib.compress(body, 1)
    return small if len(small) < len(body) * 7 // 8 else None


def inflated(body: bytes) -> bytes:
    """Undo ``deflated``.

    Raises:
        Damaged: It is not compressed, is cut, or becomes more than a frame may be.
    """
    opened = zlib.decompressobj()
    try:
        whole = opened.decompress(body, MAX_FRAME)
    except zlib.error as error:
        raise Damaged(f"a body that cannot be decompressed: {error}") from None
    if not opened.eof:
        raise Damaged("a compressed body is cut off, or too large")
    return whole
