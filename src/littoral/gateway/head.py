"""Heads of requests: the rules that the parser leaves to us.

llhttp in strict mode refuses what is malformed; what stands here is well-formed and still refused,
because two readers of the same bytes might disagree about it, or because it has no bound.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from littoral.domain.errors import InvalidInput, TooLarge, UnsupportedMedia
from littoral.domain.traffic import PRIORITIES
from littoral.gateway.refusal import Refusal, malformed, refuse

MAX_HEAD: Final = 16 * 1024
MAX_HEADERS: Final = 64
MAX_URL: Final = 4 * 1024
MAX_BODY: Final = 4 * 1024 * 1024
DEFER_S: Final = 86_400
"""How long a request that may wait for a place does so where it does not say, seconds."""
MOST_DEFER_S: Final = 30 * 86_400
MOST_IDEMPOTENCY: Final = 255

_LEVELS: Final = {name.encode(): level for level, name in enumerate(PRIORITIES)}
_DEFAULT: Final = PRIORITIES.index("default")
Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
Known: TypeAlias = Mapping[bytes, bytes]

_USED = (
    "Host",
    "Authorization",
    "X-Api-Key",
    "Content-Length",
    "Transfer-Encoding",
    "Content-Encoding",
    "Expect",
    "X-Littoral-Deadline-Ms",
    "Anthropic-Version",
    "X-Littoral-Priority",
    "X-Littoral-Cache",
    "Cache-Control",
    "X-Littoral-Defer",
    "Idempotency-Key",
)
_UNUSED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Connection", "Origin")
_NAMES: dict[bytes, bytes] = {}
for _name in _USED:
    _NAMES[_name.encode()] = _NAMES[_name.lower().encode()] = _name.lower().encode()
for _name in _UNUSED:
    _NAMES[_name.encode()] = _NAMES[_name.lower().encode()] = b""

_TOO_MANY = malformed(f"more than {MAX_HEADERS} headers", status=431, code="too_large")
_TOO_LONG = malformed(f"the head is over {MAX_HEAD} bytes", status=431, code="too_large")
_URL_TOO_LONG = malformed(f"the URL is over {MAX_URL} bytes", status=431, code="too_large")
_NO_HOST = malformed("HTTP/1.1 needs one Host header")
_CODING = malformed("the only transfer coding served is chunked, in HTTP/1.1")
_VERSION = malformed("only HTTP/1.1 is served", status=505, code="http_version")
_TARGET = malformed("the request target must be a path that begins with /")


class Terms(NamedTuple):
    """What a request asks for.

    ``total_s`` is its deadline, seconds from now, ``level`` its priority, 0 the highest;
    ``control`` its ``cache-control``, lower case, ``wished`` whether it asks for our cache.
    ``defer_s`` is how long it may wait for a place, seconds, 0 for not at all; ``idempotency``
    names it where it may come twice.
    """

    total_s: float = math.inf
    level: int = _DEFAULT
    control: bytes = b""
    wished: bool = False
    defer_s: int = 0
    idempotency: str = ""


def head_too_long() -> Refusal:
    """The refusal of a head that has passed its limit before it ended."""
    return _TOO_LONG


def read(headers: Headers, url: bytes, version: str) -> Known | Refusal:
    """Check a complete head and return the headers that we use, by lower-case name.

    Args:
        headers: In order, as sent.
        url: The request target.
        version: As the parser gives it.
    """
    if len(headers) > MAX_HEADERS:
        return _TOO_MANY
    known: dict[bytes, bytes] = {}
    for name, value in headers:
        used = _NAMES.get(name)
        if used is None:
            used = _NAMES.get(name.lower(), b"")
        if used:
            if used in known or not value.isascii():
                return malformed(f"header {used.decode()!r} is sent twice or is not ASCII")
            known[used] = value
    if version != "1.1":
        return _old(known, url, version)
    if b"host" not in known:
        return _NO_HOST
    if url[:1] != b"/" or len(url) > MAX_URL or b"#" in url:
        return _URL_TOO_LONG if len(url) > MAX_URL else _TARGET
    return _framing(known) or known if b"transfer-encoding" in known else known


def size(headers: Headers, url: bytes) -> int:
    """Bytes of a head as it would be written, to hold long reads against the limit."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def length_of(known: Known) -> int:
    """The body's length as announced, -1 where it is chunked, 0 where there is none."""
    if b"transfer-encoding" in known:
        return -1
    return int(known.get(b"content-length", b"0"))


def check_body(known: Known) -> Refusal | None:
    """Refuse a body that is encoded, or expects the unknown."""
    if b"content-encoding" in known and known[b"content-encoding"].lower() != b"identity":
        return refuse(UnsupportedMedia, "content-encoding is not served on requests", close=True)
    if b"expect" in known and known[b"expect"].lower() != b"100-continue":
        return malformed("the only expectation served is 100-continue", status=417)
    return None


def too_large(most: int) -> Refusal:
    """The refusal of a body over its limit, bytes."""
    return refuse(TooLarge, f"the body is over {most} bytes", close=True)


def credential(known: Known) -> bytes | Refusal:
    """Return the presented key: a bearer token or ``x-api-key``; both only if they agree."""
    value = known.get(b"authorization", b"")
    token = value[7:].strip() if value[:7].lower() == b"bearer " else b""
    key = known.get(b"x-api-key", b"")
    if key and value and key != token:
        return refuse(InvalidInput, "Authorization and x-api-key carry different keys", close=True)
    return key or token


def deadline_of(known: Known) -> float | Refusal:
    """Return the caller's deadline in seconds from now, ``inf`` where there is none."""
    value = known.get(b"x-littoral-deadline-ms")
    if value is None:
        return float("inf")
    if not value.isdigit() or not 0 < len(value) <= 9 or int(value) == 0:
        message = "x-littoral-deadline-ms must be 1 to 999999999"
        return refuse(InvalidInput, message, param="x-littoral-deadline-ms")
    return int(value) / 1000


def terms_of(known: Known) -> Terms | Refusal:
    """Return what a request asks for in its headers."""
    total_s, level = deadline_of(known), _level_of(known)
    if isinstance(total_s, Refusal):
        return total_s
    if isinstance(level, Refusal):
        return level
    wish = known.get(b"x-littoral-cache", b"off")
    if wish not in {b"on", b"off"}:
        message = "x-littoral-cache must be on or off"
        return refuse(InvalidInput, message, param="x-littoral-cache")
    defer_s = _patience_of(known)
    if isinstance(defer_s, Refusal):
        return defer_s
    idempotency = known.get(b"idempotency-key", b"").decode("ascii")
    control = known.get(b"cache-control", b"").lower()
    return Terms(total_s, level, control, wish == b"on", defer_s, idempotency)


def _patience_of(known: Known) -> int | Refusal:
    value = known.get(b"x-littoral-defer")
    if value is None:
        return 0
    if len(known.get(b"idempotency-key", b"")) > MOST_IDEMPOTENCY:
        message = f"idempotency-key may have {MOST_IDEMPOTENCY} characters"
        return refuse(InvalidInput, message, param="idempotency-key")
    if value.lower() == b"true":
        return DEFER_S
    if not value.isdigit() or len(value) > 7 or not 1 <= int(value) <= MOST_DEFER_S:
        message = f"x-littoral-defer must be true, or 1 to {MOST_DEFER_S} seconds"
        return refuse(InvalidInput, message, param="x-littoral-defer")
    return int(value)


def _level_of(known: Known) -> int | Refusal:
    value = known.get(b"x-littoral-priority")
    if value is None:
        return _DEFAULT
    level = _LEVELS.get(value)
    if level is None:
        names = ", ".join(PRIORITIES)
        message = f"x-littoral-priority must be one of {names}"
        return refuse(InvalidInput, message, param="x-littoral-priority")
    return level


def _framing(known: Known) -> Refusal | None:
    return None if known[b"transfer-encoding"].lower() == b"chunked" else _CODING


def _old(known: Known, url: bytes, version: str) -> Known | Refusal:
    """HTTP/1.0 may ask for health only."""
    if b"transfer-encoding" in known:
        return _CODING
    return known if version == "1.0" and url in {b"/healthz", b"/readyz"} else _VERSION
