import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.units import Micros
from littoral.trust.key import KEY, NOISE_BYTES, mac_of, mint, standing, typo, verify

PEPPER = b"p" * 32
NOISE = bytes(range(NOISE_BYTES))


def grant(noise: bytes = NOISE, *, pepper: bytes = PEPPER) -> KeyGrant:
    minted = mint(noise)
    mac = mac_of(minted.digest, pepper=pepper)
    return KeyGrant(id=minted.id, mac=mac, project=ProjectId("home"), scopes=("infer",))


@given(st.binary(min_size=NOISE_BYTES, max_size=NOISE_BYTES))
def test_every_minted_key_has_the_shape_and_passes_its_own_check(noise):
    minted = mint(noise)
    mine = grant(noise)
    assert len(minted.text) == 68
    assert KEY.fullmatch(minted.text.encode())
    assert minted.text.split("-")[2] == minted.id
    assert not typo(minted.text.encode())
    assert verify(minted.text.encode(), {mine.id: mine}, pepper=PEPPER) is mine


def test_the_key_carries_all_of_its_entropy():
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    _, _, name, secret, check = (text := mint(NOISE).text).split("-")
    assert sum(alphabet.index(c) * 62**i for i, c in enumerate(reversed(secret))) == (
        int.from_bytes(NOISE[:32], "big")
    )
    assert base64.b32decode(name.upper() + "======")[:6] == NOISE[32:38]
    crc = sum(alphabet.index(c) * 62**i for i, c in enumerate(reversed(check)))
    assert crc == zlib.crc32(text[:-7].encode())
    assert mint(NOISE).digest == hashlib.sha256(secret.encode()).digest()


@pytest.mark.parametrize("length", [0, 47, 49])
def test_a_key_is_not_made_of_too_little_or_too_much_entropy(length):
    with pytest.raises(ValueError, match="48 bytes"):
        mint(bytes(length))


def test_a_secret_of_another_key_is_refused():
    other = mint(bytes(NOISE_BYTES)).text.split("-")
    mine = mint(NOISE).text.split("-")
    mixed = "-".join([*mine[:3], other[3], mine[4]]).encode()
    assert verify(mixed, {grant().id: grant()}, pepper=PEPPER) is None
    assert typo(mixed)


def test_an_unknown_id_is_refused_even_with_the_empty_mac():
    text = mint(NOISE).text.encode()
    assert verify(text, {}, pepper=PEPPER) is None
    assert not typo(text)


def test_another_site_cannot_use_the_grant():
    mine = grant(pepper=b"q" * 32)
    assert verify(mint(NOISE).text.encode(), {mine.id: mine}, pepper=PEPPER) is None


@given(st.binary(max_size=80))
def test_garbage_is_refused_and_called_a_typo(presented):
    assert verify(presented, {grant().id: grant()}, pepper=PEPPER) is None
    assert typo(presented)


@given(st.integers(0, 67), st.sampled_from("aZ0-"))
def test_one_wrong_character_is_called_a_typo(place, character):
    text = mint(NOISE).text
    changed = text[:place] + character + text[place + 1 :]
    assert typo(changed.encode()) == (changed != text)


def test_a_grant_ends_when_it_is_revoked_or_expired():
    def ends(**change: object) -> str:
        key = KeyGrant(id=KeyId("k"), mac=b"", project=ProjectId("p"), scopes=(), **change)
        return standing(key, now_us=Micros(100))

    assert ends() == "good"
    assert ends(expires_us=101) == "good"
    assert ends(expires_us=100) == "expired"
    assert ends(revoked=True, expires_us=1) == "revoked"
