"""Capabilities: a path that may be fetched by whoever knows it, until a time."""

import hashlib
import hmac
from typing import Final

from littoral.domain.errors import Denied
from littoral.domain.ids import DIGEST, Digest
from littoral.domain.units import Micros

LIFE_US: Final = Micros(3600 * 1_000_000)
"""How long an address of a blob is good."""


def grant(digest: Digest, *, until_us: Micros, key: bytes) -> str:
    """The query that makes a blob's address good until a time.

    Args:
        digest: Which blob.
        until_us: When it ends.
        key: 32 bytes that only control knows.
    """
    return f"until={until_us}&mac={_mac(digest, until_us, key)}"


def check(digest: str, *, until: str, mac: str, now_us: Micros, key: bytes) -> Digest:
    """The digest that an address names, if it was granted and is still good.

    Raises:
        Denied: It was not granted, or has ended. The message does not say which blobs there are.

    Checked by: tests/unit/trust/test_capability.py.
    """
    known = DIGEST.fullmatch(digest) and until.isascii() and until.isdecimal() and len(until) < 20
    expected = _mac(Digest(digest), Micros(int(until)), key).encode() if known else b""
    if not known or not hmac.compare_digest(expected, mac.encode("utf-8", "replace")):
        raise Denied("this address was not granted here: ask for one over the session")
    if int(until) <= now_us:
        raise Denied("this address has ended: ask for another one over the session")
    return Digest(digest)


def _mac(digest: Digest, until_us: Micros, key: bytes) -> str:
    text = f"littoral blob 1\n{digest}\n{until_us}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()
