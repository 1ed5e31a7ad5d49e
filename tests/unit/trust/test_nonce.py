"""Nonces that their maker knows again."""

import pytest

from littoral.domain.units import Micros
from littoral.trust import nonce

KEY, NOW = b"k" * 32, Micros(1_800_000_000_000_000)
MADE = nonce.make(KEY, "nd_1", now_us=NOW, noise=b"12345678")


def test_a_nonce_is_known_again_within_a_minute():
    assert len(MADE) == 32
    assert nonce.fresh(MADE, KEY, "nd_1", now_us=NOW)
    assert nonce.fresh(MADE, KEY, "nd_1", now_us=Micros(NOW + nonce.LIFE_US))


@pytest.mark.parametrize("at", [NOW - 1, NOW + nonce.LIFE_US + 1])
def test_a_nonce_of_another_time_is_not(at):
    assert not nonce.fresh(MADE, KEY, "nd_1", now_us=Micros(at))


def test_a_nonce_is_for_one_only():
    assert not nonce.fresh(MADE, KEY, "nd_2", now_us=NOW)
    assert not nonce.fresh(MADE, b"x" * 32, "nd_1", now_us=NOW)


@pytest.mark.parametrize(
    "other", [b"", MADE[:31], MADE + b"x", b"\1" + MADE[1:], MADE[:-1] + b"\1"]
)
def test_a_changed_nonce_is_not_known(other):
    assert not nonce.fresh(other, KEY, "nd_1", now_us=NOW)
