"""Envelopes: keys derived by purpose, and values sealed to the place where they are stored.

``"LE1" | algorithm u8 | data key id 16 B | nonce 12 B | ciphertext | tag 16 B``. The first 32 bytes
and the place are authenticated: a value moved to another row or column does not open.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from littoral.domain.errors import Damaged

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_MAGIC: Final = b"LE1"
_AES_256_GCM: Final = 1
_HEAD: Final = 32
_TAG: Final = 16


def derive(master: bytes, *, purpose: str, version: int = 1) -> bytes:
    """Derive the 32-byte key of one purpose from the master key.

    Args:
        master: 32 random bytes.
        purpose: What the key is for (``"kek"``, ``"site-pepper/nd_..."``).
        version: Raised to rotate this purpose alone.

    Source: HKDF-SHA256, RFC 5869.
    Checked by: tests/unit/trust/test_envelope.py.
    """
    info = f"littoral/v1/{purpose}/{version}".encode()
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(master)


def seal(plain: bytes, *, key: bytes, place: Sequence[str], nonce: bytes) -> bytes:
    """Encrypt a value for one place.

    Args:
        plain: The value.
        key: 32 bytes, from ``derive``.
        place: Where it will be stored (``["keys", id, "secret"]``); needed again to open it.
        nonce: 12 bytes of entropy, never used twice with one key.

    Raises:
        ValueError: The key or the nonce has another length.

    Checked by: tests/unit/trust/test_envelope.py.
    """
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"a seal needs a key of {KEY_BYTES} and a nonce of {NONCE_BYTES} bytes")
    head = _MAGIC + bytes([_AES_256_GCM]) + _key_id(key) + nonce
    return head + AESGCM(key).encrypt(nonce, plain, _bound(head, place))


def unseal(sealed: bytes, *, key: bytes, place: Sequence[str]) -> bytes:
    """Open a value that was sealed for this place.

    Raises:
        Damaged: Changed, cut, from another place, or sealed with another key.

    Checked by: tests/unit/trust/test_envelope.py.
    """
    head = sealed[:_HEAD]
    if len(sealed) < _HEAD + _TAG or head[:4] != _MAGIC + bytes([_AES_256_GCM]):
        raise Damaged("a sealed value is cut or not one of ours")
    if head[4:20] != _key_id(key):
        raise Damaged("a sealed value was sealed with another key; is this its master.key?")
    try:
        return AESGCM(key).decrypt(head[20:], sealed[_HEAD:], _bound(head, place))
    except InvalidTag as error:
        raise Damaged("a sealed value was changed or moved from its place") from error


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"littoral-key-id\0" + key).digest()[:16]


def _bound(head: bytes, place: Sequence[str]) -> bytes:
    return head + json.dumps(list(place), separators=(",", ":"), ensure_ascii=True).encode()
