"""Body: JSON of a request, decoded strictly first and loosely second, with its faults found."""

import re
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from littoral.domain.errors import InvalidInput
from littoral.gateway.refusal import Refusal, refuse

MAX_DEPTH: Final = 64
_SHORT: Final = 1024
T = TypeVar("T", bound=Struct)

_FIELDS = msgspec.json.Decoder(dict[str, Raw]).decode
_ANYTHING = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_NOT_OPENING = bytes(c for c in range(256) if c not in b"[{")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]*)`")
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reader(Generic[T]):
    """Reads one kind of body: known fields only at first, then once more without the unknown.

    Args:
        strict: The body's type, where unknown fields are an error: the warm path's first try.
        loose: The same fields, where unknown ones are dropped.
        inner: Names the unknown fields further inside; they are told to the client. Or refuses,
            where leaving an unknown field out would change what was asked for.
    """

    def __init__(
        self,
        strict: type[T],
        loose: type[T],
        inner: Callable[[dict[str, Raw]], Sequence[str] | Refusal] | None = None,
    ) -> None:
        self._strict = msgspec.json.Decoder(strict).decode
        self._loose = msgspec.json.Decoder(loose).decode
        self._known = frozenset(field.encode_name for field in msgspec.structs.fields(loose))
        self._inner = inner

    def read(self, data: bytes) -> tuple[T, Sequence[str]] | Refusal:
        """Decode a body.

        Returns:
            The body and the names of the fields that were dropped; or a refusal with the path of
            the field that is wrong in ``param``.
        """
        wrong = damage(data)
        if wrong is not None:
            return wrong
        try:
            return self._strict(data), ()
        except msgspec.ValidationError:
            return self._read_loosely(data)
        except _FAULTS as error:
            return refusal_of(error)

    def _read_loosely(self, data: bytes) -> tuple[T, Sequence[str]] | Refusal:
        try:
            body = self._loose(data)
            fields = _FIELDS(data)
        except _FAULTS as error:
            return refusal_of(error)
        ignored = [name for name in fields if name not in self._known]
        inner = self._inner(fields) if self._inner is not None else ()
        if isinstance(inner, Refusal):
            return inner
        return body, [*ignored, *inner]


def damage(data: bytes) -> Refusal | None:
    """Find what the decoder passes inside raw values: bad UTF-8, lone surrogates, depth."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return refuse(InvalidInput, f"the body is not UTF-8 at byte {error.start}")
    if b"\\u" in data and (b"\\ud" in data or b"\\uD" in data):
        try:
            _ANYTHING(data)
        except _FAULTS as error:
            return refusal_of(error)
    if _opens_often(data) and too_deep(data):
        return refuse(InvalidInput, f"the body is nested deeper than {MAX_DEPTH} levels")
    return None


def _opens_often(data: bytes) -> bool:
    """Whether there are brackets enough to be deep.

    Where a long body has few, ``find`` leaps over it; else one look at each byte is faster.
    """
    if len(data) < _SHORT:
        return len(data.translate(None, _NOT_OPENING)) > MAX_DEPTH
    for mark in (b"[", b"{"):
        at = data.find(mark)
        for _ in range(MAX_DEPTH // 2):
            if at < 0:
                break
            at = data.find(mark, at + 1)
        else:
            return True
    return False


def too_deep(data: bytes) -> bool:
    """Whether JSON has more than ``MAX_DEPTH`` levels; malformed JSON may answer either way."""
    rest = _STRING.sub(b"", data).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = rest.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return rest != b""


def refusal_of(error: Exception) -> Refusal:
    """Say what the decoder found, and where."""
    text = "the body is nested too deeply" if isinstance(error, RecursionError) else str(error)
    path, missing = _PATH.search(text), _MISSING.search(text)
    where = path[1] if path else ""
    if missing:
        where = f"{where}.{missing[1]}" if where else missing[1]
    return refuse(InvalidInput, f"cannot read the body: {text}", param=where or None)
