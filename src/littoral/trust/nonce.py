"""Nonces that their maker knows again without keeping them: bound to whom they were given, dated.

``time u64 | 8 random bytes | 16 bytes of HMAC-SHA256(key, time, random, whom)``. That one is used
once only is for the maker to see to, among those not older than their life.
"""

import hmac
from typing import Final

from littoral.domain.units import Micros

NOISE_BYTES: Final = 8
LIFE_US: Final = 60_000_000
_TIME, _MAC, _LENGTH = 8, 16, 32


def make(key: bytes, whom: str, *, now_us: Micros, noise: bytes) -> bytes:
    """Make a nonce of 32 bytes.

    Args:
        key: 32 bytes that only the maker has.
        whom: Whom it is for.
        now_us: UTC.
        noise: 8 bytes of entropy.
    """
    head = now_us.to_bytes(_TIME, "big") + noise[:NOISE_BYTES]
    return head + _mac(key, head, whom)


def fresh(nonce: bytes, key: bytes, whom: str, *, now_us: Micros) -> bool:
    """Say whether this is a nonce of ours for ``whom``, not older than a minute.

    Checked by: tests/unit/trust/test_nonce.py.
    """
    head = nonce[: _LENGTH - _MAC]
    ours = hmac.compare_digest(_mac(key, head, whom), nonce[_LENGTH - _MAC :])
    age = now_us - int.from_bytes(head[:_TIME], "big")
    return ours and len(nonce) == _LENGTH and 0 <= age <= LIFE_US


def _mac(key: bytes, head: bytes, whom: str) -> bytes:
    return hmac.digest(key, head + whom.encode(), "sha256")[:_MAC]
