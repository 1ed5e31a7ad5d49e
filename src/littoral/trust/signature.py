"""Signatures of what travels: compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864), no other.

A token has exactly one possible header for its key, so there is nothing in it to negotiate: whoever
verifies builds that header and compares bytes. A second algorithm would be a second kind of token.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from littoral.domain.errors import Damaged

SEED_BYTES: Final = 32
"""Bytes of entropy that make a signing key."""
MOST: Final = 1024 * 1024
"""Bytes of the longest token that is looked at."""
_TOKEN: Final = re.compile(rb"([\w-]+)\.([\w-]*)\.([\w-]{86})", re.ASCII)
_KEY_ID: Final = re.compile(rb'"kid":"([0-9a-f]{32})"')


def public_of(seed: bytes) -> bytes:
    """The 32 public bytes of the key that a seed makes."""
    return _private(seed).public_key().public_bytes_raw()


def key_id(public: bytes) -> str:
    """The name of a public key: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:32]


def sign(payload: bytes, *, seed: bytes, kind: str) -> bytes:
    """Sign bytes.

    Args:
        payload: What to sign.
        seed: 32 bytes that make the key.
        kind: What it is (``"littoral-snapshot"``): a token of another kind does not verify.

    Checked by: tests/unit/trust/test_signature.py.
    """
    head = _head(key_id(public_of(seed)), kind)
    body = b"%b.%b" % (_base64(head), _base64(payload))
    return b"%b.%b" % (body, _base64(_private(seed).sign(body)))


def verify(token: bytes, keys: Mapping[str, bytes], *, kind: str) -> bytes:
    """Return the payload of a token that one of these keys signed.

    Args:
        token: As it came.
        keys: Public keys by their ids.
        kind: What it must be.

    Raises:
        Damaged: It is no such token, or its signer is not among the keys.

    Checked by: tests/unit/trust/test_signature.py.
    """
    match = _TOKEN.fullmatch(token) if len(token) <= MOST else None
    if match is None:
        raise Damaged(f"no signed {kind}: malformed, or longer than {MOST} bytes")
    named = _KEY_ID.search(_bytes(match[1]))
    signer = named[1].decode() if named else ""
    public = keys.get(signer)
    if public is None:
        known = ", ".join(sorted(keys)) or "none"
        raise Damaged(f"{kind}: signed by {signer or 'nobody'!r}; trusted here: {known}")
    if match[1] != _base64(_head(signer, kind)):
        raise Damaged(f"{kind}: its header is not that of a signed {kind}")
    payload, signature = _bytes(match[2]), _bytes(match[3])
    if (match[2], match[3]) != (_base64(payload), _base64(signature)):
        raise Damaged(f"{kind}: it is not written in the one way that is allowed")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, match[1] + b"." + match[2])
    except InvalidSignature:
        raise Damaged(f"{kind}: the signature of {signer} is forged or it was changed") from None
    return payload


@lru_cache(maxsize=4)
def _private(seed: bytes) -> Ed25519PrivateKey:
    """The key that a seed makes; to make it costs as much as to sign with it."""
    return Ed25519PrivateKey.from_private_bytes(seed)


def _head(signer: str, kind: str) -> bytes:
    return f'{{"alg":"Ed25519","kid":"{signer}","typ":"{kind}"}}'.encode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError as error:
        raise Damaged("a signed token that is not base64") from error
