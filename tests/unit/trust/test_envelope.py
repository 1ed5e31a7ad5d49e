import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged
from littoral.trust.envelope import derive, seal, unseal

MASTER = bytes(range(32))
KEY = derive(MASTER, purpose="kek")
PLACE = ["keys", "abc", "secret"]
NONCE = b"n" * 12


def test_derivation_is_hkdf_of_rfc_5869():
    pseudo = hmac.digest(bytes(32), MASTER, "sha256")
    expected = hmac.digest(pseudo, b"littoral/v1/kek/1" + b"\x01", "sha256")
    assert expected == KEY


def test_each_purpose_and_version_has_its_own_key():
    keys = {
        derive(MASTER, purpose="kek"),
        derive(MASTER, purpose="kek", version=2),
        derive(MASTER, purpose="pepper"),
        derive(bytes(32), purpose="kek"),
    }
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


@given(st.binary(max_size=300), st.lists(st.text(max_size=20), max_size=5))
def test_what_was_sealed_opens_at_its_place(plain, place):
    sealed = seal(plain, key=KEY, place=place, nonce=NONCE)
    assert unseal(sealed, key=KEY, place=place) == plain
    assert len(sealed) == 32 + len(plain) + 16


def test_the_layout_is_fixed():
    sealed = seal(b"x", key=KEY, place=PLACE, nonce=NONCE)
    assert sealed[:4] == b"LE1\x01"
    assert sealed[4:20] == hashlib.sha256(b"littoral-key-id\0" + KEY).digest()[:16]
    assert sealed[20:32] == NONCE


def test_places_that_join_alike_are_not_alike():
    sealed = seal(b"x", key=KEY, place=["a,b"], nonce=NONCE)
    with pytest.raises(Damaged, match="moved"):
        unseal(sealed, key=KEY, place=["a", "b"])


def test_any_changed_or_missing_byte_is_found():
    sealed = seal(b"hello", key=KEY, place=PLACE, nonce=NONCE)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Damaged):
            unseal(bytes(changed), key=KEY, place=PLACE)
        with pytest.raises(Damaged):
            unseal(sealed[:place], key=KEY, place=PLACE)


def test_another_key_is_named_as_the_reason():
    sealed = seal(b"hello", key=KEY, place=PLACE, nonce=NONCE)
    with pytest.raises(Damaged, match="another key"):
        unseal(sealed, key=bytes(32), place=PLACE)


@pytest.mark.parametrize(("key", "nonce"), [(b"short", NONCE), (KEY, b"short")])
def test_keys_and_nonces_of_another_length_are_refused(key, nonce):
    with pytest.raises(ValueError, match="32 and a nonce of 12"):
        seal(b"", key=key, place=PLACE, nonce=nonce)
