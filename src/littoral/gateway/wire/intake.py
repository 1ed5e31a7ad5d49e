"""Intake: bytes of one client's connection become messages, strictly and within bounds."""

import re
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol, cast

import httptools
from msgspec import Struct

from littoral.gateway import head, realtime
from littoral.gateway.head import Headers, Known
from littoral.gateway.refusal import Refusal, malformed
from littoral.gateway.route import ROUTES

_UPGRADE: Final = malformed(
    "upgrades are served at /v1/realtime only", status=501, code="not_implemented"
)
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,7})(?=\r\n)")
MAX_MISSES: Final = 8
BODY_S: Final = 30.0
SLOWEST: Final = 128 * 1024
"""Bytes a second that a long body must come with, beyond the time that each body has."""
CHUNKING: Final = 8
"""Most bytes that come for each byte of a body: one byte in a chunk of its own takes six."""
_BESIDE: Final = malformed(
    "what comes beside the bytes of the body is too long", status=431, code="too_large"
)
_BAD: Final = malformed("these bytes are not a request in HTTP/1.1")
PASSAGE: Final = b"/api/v1/"
"""Paths whose bodies stream through to control."""


class Sink(Protocol):
    """Takes a body piece by piece."""

    def body(self, data: bytes) -> None:
        """One piece."""
        ...

    def end(self) -> None:
        """It is whole."""
        ...


class Message(Struct, gc=False):
    """A message to answer, or the refusal of one that could not be read.

    ``upgrade`` are all the headers of one that turns its connection into something else.
    """

    method: bytes
    url: bytes
    known: Known
    body: bytes
    keep: bool
    refusal: Refusal | None = None
    sink: Sink | None = None
    held: int = 0
    upgrade: Headers | None = None


class _Memo(Struct, gc=False):
    """A head: where the digits of its length begin, how many bytes follow them, its digest."""

    start: int
    rest: int
    digest: bytes


Opener = Callable[[tuple[bytes, bytes], Headers, int], Sink]
Room = Callable[[Known, int], Refusal | None]


class Intake:
    """Parser callbacks of one connection.

    Args:
        opener: Called with (method, target), headers and length (-1: chunked) of a message
            under ``/api/v1/``; returns who takes its body. It joins ``ready`` at once, body unread.
        proceed: Called where the client waits for leave to send its body.
        room: Asked with the headers before a body of so many bytes is taken, where that is more
            than most bodies may have; the message's ``held`` is then that number.
    """

    __slots__ = (
        "_headers",
        "_known",
        "_memo",
        "_misses",
        "_most",
        "_opener",
        "_parser",
        "_pieces",
        "_proceed",
        "_room",
        "_size",
        "_url",
        "deaf",
        "fed",
        "head_done",
        "patience_s",
        "ready",
        "rest",
        "sink",
    )

    def __init__(self, opener: Opener, proceed: Callable[[], None], room: Room) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._opener = opener
        self._proceed = proceed
        self._room = room
        self._most = head.MAX_BODY
        self.patience_s = BODY_S
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._known: Known = {}
        self._url = b""
        self._size = 0
        self._memo: _Memo | None = None
        self._misses = 0
        self.ready: deque[Message] = deque()
        self.deaf = False
        self.fed = 0
        self.head_done = False
        self.rest = b""
        self.sink: Sink | None = None

    def recall(self, data: bytes) -> bytes | None:
        """Return the body of a message whose head is the last one's again, but for its length.

        What llhttp says of a head depends on its bytes alone, and here they are the same; the
        body must be whole in this read, with nothing behind it. Only a digest is kept of the head.
        """
        memo = self._memo
        if memo is None or self.fed or self.ready:
            return None
        start = memo.start
        end = data.find(b"\r", start, start + 8)
        digits, body = data[start:end], end + memo.rest
        if not digits.isdigit() or int(digits) != len(data) - body:
            return None
        if sha256(data[:start] + data[end:body]).digest() != memo.digest:
            return None
        return data[body:]

    def remember(self, data: bytes, message: Message) -> bool:
        """Keep the digest of the head of a read that was exactly this message.

        Clients whose heads differ each time are given up on.

        Returns:
            Whether ``recall`` will know this head.
        """
        found = _LENGTH.search(data)
        size = data.find(b"\r\n\r\n") + 4
        if self._misses > MAX_MISSES or found is None or found.end() > size:
            return False
        self._misses += 1
        if len(data) - size != len(message.body) or b"expect" in message.known:
            return False
        start, end = found.span(1)
        digest = sha256(data[:start] + data[end:size]).digest()
        self._memo = _Memo(start, size - end, digest)
        return True

    def feed(self, data: bytes) -> None:
        """Parse; whatever became a message is in ``ready`` afterwards."""
        self._memo = None
        self.fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.rest = data[cast("int", upgrade.args[0]) :]
            self.give_up(_UPGRADE)
            return
        except httptools.HttpParserError:
            self.give_up(_BAD)
            return
        if self.fed > head.MAX_HEAD and not self.head_done and not self.ready:
            self.give_up(head.head_too_long())
        elif self.sink is None and self.fed > CHUNKING * self._size + 2 * head.MAX_HEAD:
            self.give_up(_BESIDE)

    def give_up(self, refusal: Refusal) -> None:
        """End with this refusal: what follows cannot be told apart."""
        if not self.deaf:
            self.deaf = True
            url, known = self._url, self._known
            self.ready.append(Message(b"", url, known, b"", keep=False, refusal=refusal))

    def on_message_begin(self) -> None:
        """A new message: nothing of the last one counts."""
        self._headers = []
        self._pieces = []
        self._url = b""
        self._size = 0
        self._most = head.MAX_BODY
        self.patience_s = BODY_S
        self.head_done = False

    def on_url(self, url: bytes) -> None:
        """The target, which comes in pieces."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the body, a trailer, which nobody reads."""
        if not self.head_done:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head; refuse before a byte of the body is kept."""
        self.head_done = True
        if self.deaf:
            return
        known = head.read(self._headers, self._url, self._parser.get_http_version())
        if isinstance(known, Refusal):
            self.give_up(known)
            return
        self._known = known
        if self.fed > head.MAX_HEAD and head.size(self._headers, self._url) > head.MAX_HEAD:
            self.give_up(head.head_too_long())
        elif self._parser.should_upgrade():
            self._upgrade()
        elif self._url.startswith(PASSAGE):
            self._pass(head.length_of(known))
        else:
            length = head.length_of(known)
            refusal = head.check_body(known)
            if refusal is None and not 0 <= length <= head.MAX_BODY:
                refusal = self._expect_much(known, length)
            if refusal is not None:
                self.give_up(refusal)
            elif b"expect" in known and length and not self.ready:
                self._proceed()

    def _upgrade(self) -> None:
        """Hand over a connection that becomes something else, where its path does."""
        if self._url.partition(b"?")[0] != realtime.PATH or self.ready:
            self.give_up(_UPGRADE)
            return
        self.deaf = True
        method, headers = self._parser.get_method(), self._headers
        message = Message(method, self._url, self._known, b"", keep=False, upgrade=headers)
        self.ready.append(message)

    def _expect_much(self, known: Known, length: int) -> Refusal | None:
        """Take a long body, or one of unknown length, where its path allows and there is room."""
        route = ROUTES.get(self._url.partition(b"?")[0])
        most = head.MAX_BODY if route is None else route.longest_body
        if length > most:
            return head.too_large(most)
        if most == head.MAX_BODY:
            return None
        self._most = most
        self.patience_s = BODY_S + (most if length < 0 else length) / SLOWEST
        return self._room(known, most)

    def _pass(self, length: int) -> None:
        method = self._parser.get_method()
        self.sink = self._opener((method, self._url), self._headers, length)
        keep = self._parser.should_keep_alive()
        message = Message(method, self._url, self._known, b"", keep, sink=self.sink)
        self.ready.append(message)
        if b"expect" in self._known and length:
            self._proceed()

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.deaf:
            return
        if self.sink is not None:
            self.sink.body(data)
            return
        self._size += len(data)
        if self._size > self._most:
            self.give_up(head.too_large(self._most))
            return
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """A whole message: it waits for its turn."""
        self.fed = 0
        if self.deaf:
            return
        if self.sink is not None:
            self.sink.end()
            self.sink = None
            return
        parser, pieces = self._parser, self._pieces
        self.ready.append(
            Message(
                parser.get_method(),
                self._url,
                self._known,
                pieces[0] if len(pieces) == 1 else b"".join(pieces),
                parser.should_keep_alive(),
                held=self._most if self._most > head.MAX_BODY else 0,
            )
        )
        self._headers = []
        self._pieces = []
        self._known = {}
