"""API keys: how one is made, recognised and checked.

``lit-sk-<10 base32 id>-<43 base62 secret>-<6 base62 CRC-32 of all before it>``. The secret is 256
random bits, so a fast digest is enough: nobody stores more than ``HMAC(pepper, SHA-256(secret))``
where keys are checked. People never choose keys.
"""

import base64
import hashlib
import hmac
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.units import Micros

KEY = re.compile(rb"lit-sk-([a-z2-7]{10})-([0-9A-Za-z]{43})-([0-9A-Za-z]{6})")
NOISE_BYTES = 48
_DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NOBODY = KeyGrant(id=KeyId(""), mac=bytes(32), project=ProjectId(""), scopes=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Minted:
    """A new key: its id, the text to show once, and SHA-256 of its secret to keep sealed."""

    id: KeyId
    text: str
    digest: bytes


def mint(noise: bytes) -> Minted:
    """Make a key.

    Args:
        noise: 48 bytes of entropy; the first 32 become the secret, the rest the id.

    Raises:
        ValueError: ``noise`` has another length.
    """
    if len(noise) != NOISE_BYTES:
        raise ValueError(f"a key needs {NOISE_BYTES} bytes of entropy, got {len(noise)}")
    name = base64.b32encode(noise[32:])[:10].lower()
    secret = _base62(int.from_bytes(noise[:32], "big"), 43)
    head = b"lit-sk-%b-%b" % (name, secret)
    text = b"%b-%b" % (head, _checksum(head))
    return Minted(
        id=KeyId(name.decode()), text=text.decode(), digest=hashlib.sha256(secret).digest()
    )


def mac_of(digest: bytes, *, pepper: bytes) -> bytes:
    """Return what a site keeps of a key: HMAC-SHA256 of its secret's digest under the pepper."""
    return hmac.digest(pepper, digest, "sha256")


def verify(presented: bytes, grants: Mapping[str, KeyGrant], *, pepper: bytes) -> KeyGrant | None:
    """Find the grant of a presented key, or None where it is not a good one.

    An unknown id takes the same path as a known one. The checksum is not looked at: call ``typo``
    after a failure. Whether the key is revoked or expired is for ``standing``.

    Args:
        presented: The header's value after ``Bearer``.
        grants: By key id.
        pepper: What the grants' MACs were made with.

    Checked by: tests/unit/trust/test_key.py.
    """
    parts = KEY.fullmatch(presented)
    if parts is None:
        return None
    grant = grants.get(parts[1].decode(), _NOBODY)
    mac = hmac.digest(pepper, hashlib.sha256(parts[2]).digest(), "sha256")
    good = hmac.compare_digest(mac, grant.mac)
    return grant if good and grant is not _NOBODY else None


def standing(grant: KeyGrant, *, now_us: Micros) -> Literal["good", "revoked", "expired"]:
    """Say whether a verified key may still be used at ``now_us`` (UTC)."""
    if grant.revoked:
        return "revoked"
    if grant.expires_us is not None and now_us >= grant.expires_us:
        return "expired"
    return "good"


def typo(presented: bytes) -> bool:
    """Say whether a refused key is damaged (wrong shape or checksum) rather than unknown."""
    parts = KEY.fullmatch(presented)
    return parts is None or parts[3] != _checksum(presented[:-7])


def _checksum(head: bytes) -> bytes:
    return _base62(zlib.crc32(head), 6)


def _base62(number: int, width: int) -> bytes:
    digits = bytearray(width)
    for place in range(width - 1, -1, -1):
        number, digit = divmod(number, 62)
        digits[place] = _DIGITS[digit]
    return bytes(digits)
