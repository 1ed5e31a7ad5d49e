"""Forms: ``multipart/form-data`` read strictly and within bounds, and written anew.

What stands before the first delimiter or after the last, a delimiter inside a part, an encoding of
a part, a header or parameter sent twice: refused, since two readers might see two forms there.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from littoral.domain.errors import InvalidInput

MOST_PARTS: Final = 256
MOST_HEADERS: Final = 4096
SEPARATOR: Final = b"littoral-3b9f0c6e5d7a4812b0e9c4f1a6d82753"
"""What stands between the parts of forms that we write; no part may hold it."""

_BOUNDARY = re.compile(rb"--([0-9A-Za-z'()+_,./:=?-]{1,70})\r\n")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*?)[ \t]*\Z")
_PARAMETER = re.compile(
    r""";[ \t]*([a-zA-Z0-9_*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*""", re.DOTALL
)
_MEDIA = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
_PLAIN: Final = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of a form; a file where it has a file name."""

    name: str
    data: bytes
    filename: str | None = None
    media: str = ""

    @property
    def text(self) -> str:
        """The field's value.

        Raises:
            InvalidInput: It is a file, or not UTF-8.
        """
        if self.filename is not None:
            raise InvalidInput(f"{self.name!r} must be a field, not a file", param=self.name)
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{self.name!r} is not UTF-8", param=self.name) from error


def parse(data: bytes) -> tuple[Part, ...]:
    """Take a form apart; its first line says what stands between its parts.

    Args:
        data: The whole body.

    Raises:
        InvalidInput: It is no such form, or a part breaks a rule; the message says which.

    Checked by: tests/unit/trust/test_form.py.
    """
    found = _BOUNDARY.match(data)
    if found is None:
        raise InvalidInput("the body must be multipart/form-data and begin with its boundary")
    parts = tuple(_parts(data, found[1], found.end()))
    if len(parts) > MOST_PARTS:
        raise InvalidInput(f"the form has more than {MOST_PARTS} fields")
    return parts


def build(parts: Iterable[Part]) -> bytes:
    """Write a form with ``SEPARATOR`` between its parts.

    Raises:
        InvalidInput: A part holds the separator.
    """
    pieces: list[bytes] = []
    for part in parts:
        if SEPARATOR in part.data:
            raise InvalidInput("a file holds what separates the parts of forms", param=part.name)
        pieces += (b"--", SEPARATOR, b"\r\n", _head(part), b"\r\n\r\n", part.data, b"\r\n")
    pieces += (b"--", SEPARATOR, b"--\r\n")
    return b"".join(pieces)


def _head(part: Part) -> bytes:
    line = f'Content-Disposition: form-data; name="{_quoted(part.name)}"'
    if part.filename is not None:
        line += f'; filename="{_quoted(part.filename)}"'
    if part.media:
        line += f"\r\nContent-Type: {part.media}"
    return line.encode()


def _quoted(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _unquoted(text: str) -> str:
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _parts(data: bytes, boundary: bytes, at: int) -> Iterator[Part]:
    mark = b"\r\n--" + boundary
    for _ in range(MOST_PARTS + 1):
        end = data.find(mark, at)
        if end < 0:
            raise InvalidInput("the form does not end with its boundary")
        yield _part(data, at, end)
        at = end + len(mark) + 2
        match data[at - 2 : at]:
            case b"\r\n":
                continue
            case b"--" if data[at:] in {b"", b"\r\n"}:
                return
            case _:
                raise InvalidInput("something follows a boundary of the form that may not")


def _part(data: bytes, start: int, end: int) -> Part:
    split = data.find(b"\r\n\r\n", start, end)
    if split < 0 or split - start > MOST_HEADERS:
        raise InvalidInput(f"a field's headers do not end within {MOST_HEADERS} bytes")
    headers = _headers(data[start:split])
    if headers.get("content-transfer-encoding", "binary").lower() not in _PLAIN:
        raise InvalidInput("fields of a form may not have a content-transfer-encoding")
    given = _parameters(headers.get("content-disposition", ""))
    name = given.get("name")
    if not name:
        raise InvalidInput("a field of the form has no name")
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Part(
        name=name,
        data=data[split + 4 : end],
        filename=given.get("filename"),
        media=media if _MEDIA.fullmatch(media) else "",
    )


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.split(b"\r\n"):
        found = _HEADER.match(line)
        if found is None:
            raise InvalidInput("a field of the form has a header that is none")
        try:
            name, value = found[1].decode().lower(), found[2].decode()
        except UnicodeDecodeError as error:
            raise InvalidInput("a header of a field of the form is not UTF-8") from error
        if name in headers:
            raise InvalidInput(f"a field of the form has two headers {name!r}")
        headers[name] = value
    return headers


def _parameters(disposition: str) -> dict[str, str]:
    kind, _, _ = disposition.partition(";")
    rest = disposition[len(kind) :]
    if kind.strip().lower() != "form-data":
        raise InvalidInput("a field of the form has no content-disposition of form-data")
    given: dict[str, str] = {}
    at = 0
    while at < len(rest):
        found = _PARAMETER.match(rest, at)
        if found is None or found[1].lower() in given:
            raise InvalidInput("a field's content-disposition cannot be read")
        given[found[1].lower()] = _unquoted(found[3] if found[2] is None else found[2])
        at = found.end()
    return given
