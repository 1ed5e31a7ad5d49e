"""Signed tokens: one algorithm, one form, and nothing else verifies."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.domain.errors import Damaged
from littoral.trust.signature import MOST, key_id, public_of, sign, verify

SEED = bytes(range(32))
PUBLIC = public_of(SEED)
KEYS = {key_id(PUBLIC): PUBLIC}
TOKEN = sign(b"payload", seed=SEED, kind="thing")
unhurried = settings(max_examples=100, deadline=None)


def base64_of(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(head: bytes, payload: bytes = b"payload") -> bytes:
    """A token with any header, its signature good."""
    body = base64_of(head) + b"." + base64_of(payload)
    return body + b"." + base64_of(Ed25519PrivateKey.from_private_bytes(SEED).sign(body))


def test_it_is_a_compact_jws_as_others_make_them() -> None:
    """RFC 8037, appendix A.4: its key and payload give its signature for its own header."""
    seed = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    public = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert public_of(seed) == public
    head, payload, _ = sign(b"x", seed=seed, kind="thing").split(b".")
    assert json.loads(base64.urlsafe_b64decode(head + b"==")) == {
        "alg": "Ed25519",
        "kid": key_id(public),
        "typ": "thing",
    }
    assert payload == b"eA"


@given(st.binary(max_size=300))
@unhurried
def test_what_was_signed_comes_back(payload) -> None:
    assert verify(sign(payload, seed=SEED, kind="thing"), KEYS, kind="thing") == payload


@given(st.integers(0, len(TOKEN) - 1), st.integers(1, 255))
@unhurried
def test_any_changed_byte_is_refused(at, change) -> None:
    changed = bytearray(TOKEN)
    changed[at] ^= change
    with pytest.raises(Damaged):
        verify(bytes(changed), KEYS, kind="thing")


@given(st.binary(max_size=200))
@unhurried
def test_noise_is_refused(noise) -> None:
    with pytest.raises(Damaged):
        verify(noise, KEYS, kind="thing")


@pytest.mark.parametrize(
    "head",
    [
        b'{"alg":"none","kid":"%b","typ":"thing"}',
        b'{"alg":"HS256","kid":"%b","typ":"thing"}',
        b'{"alg":"EdDSA","kid":"%b","typ":"thing"}',
        b'{"alg":"Ed25519","kid":"%b","typ":"other"}',
        b'{"alg": "Ed25519","kid":"%b","typ":"thing"}',
        b'{"kid":"%b","alg":"Ed25519","typ":"thing"}',
        b'{"alg":"Ed25519","kid":"%b","typ":"thing","crit":["b64"]}',
    ],
)
def test_no_other_header_verifies_however_well_it_is_signed(head) -> None:
    with pytest.raises(Damaged, match="header"):
        verify(signed(head.replace(b"%b", key_id(PUBLIC).encode())), KEYS, kind="thing")


def test_a_stranger_is_named() -> None:
    with pytest.raises(Damaged, match=f"signed by '{key_id(PUBLIC)}'; trusted here: none"):
        verify(TOKEN, {}, kind="thing")
    with pytest.raises(Damaged, match="nobody"):
        verify(signed(b"{}"), KEYS, kind="thing")


def test_a_key_under_the_name_of_another_does_not_help() -> None:
    other = public_of(b"x" * 32)
    with pytest.raises(Damaged, match="forged"):
        verify(TOKEN, {key_id(PUBLIC): other}, kind="thing")


def test_bits_that_base64_leaves_unused_cannot_be_set() -> None:
    head, payload, signature = TOKEN.split(b".")
    assert signature[-1:] in b"AQgw"
    loose = signature[:-1] + bytes([signature[-1] + 1])
    with pytest.raises(Damaged, match="one way"):
        verify(b".".join((head, payload, loose)), KEYS, kind="thing")


def test_a_length_that_is_no_base64_is_refused() -> None:
    head, _, signature = TOKEN.split(b".")
    with pytest.raises(Damaged, match="base64"):
        verify(b".".join((head, b"AAAAA", signature)), KEYS, kind="thing")


def test_a_huge_token_is_not_even_looked_at() -> None:
    with pytest.raises(Damaged, match="longer"):
        verify(sign(bytes(MOST), seed=SEED, kind="thing"), KEYS, kind="thing")
