"""Frames as bytes: msgpack of ``[number, record]``, typed strictly and bounded."""

from collections.abc import Mapping

import msgspec

from littoral.app.tolerance import TOLERANT, beaten, tolerated
from littoral.domain.errors import Damaged, TooLarge
from littoral.domain.session import FRAMES, Beat, Frame

MAX_FRAME = 16 * 1024 * 1024
"""Most bytes of one frame."""

_NUMBERS: Mapping[type[Frame], int] = {record: number for number, record in FRAMES.items()}
_DECODERS: Mapping[int, msgspec.msgpack.Decoder[Frame]] = {
    number: msgspec.msgpack.Decoder(record) for number, record in FRAMES.items()
}
_ENVELOPE: msgspec.msgpack.Decoder[tuple[int, msgspec.Raw]] = msgspec.msgpack.Decoder(
    tuple[int, msgspec.Raw]
)


def pack_body(frame: Frame) -> tuple[int, bytes]:
    """The number of a frame, and its record alone, for transports with a header of their own.

    Raises:
        TooLarge: It is over ``MAX_FRAME``.
    """
    return _NUMBERS[type(frame)], _bounded(frame, msgspec.msgpack.encode(frame))


def unpack_body(number: int, body: bytes) -> Frame | None:
    """Decode what ``pack_body`` gave; None where this version knows no such number.

    Raises:
        Damaged: The bytes are no frame of that number.
    """
    decoder = _DECODERS.get(number)
    if decoder is None:
        return None
    try:
        try:
            return decoder.decode(body)
        except msgspec.ValidationError:
            if FRAMES[number] is not Beat:
                raise
            return beaten(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"bytes that are no frame {number}: {error}") from None


def pack(frame: Frame) -> bytes:
    """Encode one frame.

    Raises:
        TooLarge: It is over ``MAX_FRAME``.
    """
    return _bounded(frame, msgspec.msgpack.encode((_NUMBERS[type(frame)], frame)))


def _bounded(frame: Frame, data: bytes) -> bytes:
    if len(data) > MAX_FRAME:
        name = type(frame).__name__
        raise TooLarge(f"a frame {name} of {len(data)} bytes is over {MAX_FRAME}")
    return data


def unpack(data: bytes) -> Frame:
    """Decode one frame; fields that this version does not know are skipped.

    Raises:
        Damaged: The bytes are no frame: too long, malformed, of an unknown number or wrong types.
    """
    if len(data) > MAX_FRAME:
        raise Damaged(f"a frame of {len(data)} bytes is over {MAX_FRAME}")
    try:
        number, body = _ENVELOPE.decode(data)
        try:
            return _DECODERS[number].decode(body)
        except msgspec.ValidationError:
            if FRAMES[number] not in TOLERANT:
                raise
            return tolerated(FRAMES[number], body)
    except KeyError as error:
        raise Damaged(f"no frame has the number {error}") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Damaged(f"bytes that are no frame: {error}") from None
