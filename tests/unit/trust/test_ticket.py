"""Join tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import InvalidInput
from littoral.trust import ticket

PIN = "0f" * 32
NOISE = st.binary(min_size=ticket.NOISE_BYTES, max_size=ticket.NOISE_BYTES)
KEY = b"k" * 32


@given(NOISE)
def test_a_token_reads_back_as_what_it_was_made_of(noise):
    made = ticket.make(PIN, noise)
    assert ticket.parse(f" {made.text}\n") == made
    assert ticket.good(made, ticket.mac_of(made, key=KEY), key=KEY)


@given(NOISE, NOISE)
def test_another_tokens_mac_does_not_fit(one, other):
    mac = ticket.mac_of(ticket.make(PIN, one), key=KEY)
    assert ticket.good(ticket.make(PIN, other), mac, key=KEY) == (one[:32] == other[:32])


def test_a_mac_under_another_key_does_not_fit():
    made = ticket.make(PIN, bytes(ticket.NOISE_BYTES))
    assert not ticket.good(made, ticket.mac_of(made, key=b"x" * 32), key=KEY)


def test_too_little_entropy_makes_no_token():
    with pytest.raises(ValueError, match="39 bytes"):
        ticket.make(PIN, bytes(38))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "litj1",
        "litj2." + ticket.make(PIN, bytes(39)).text[6:],
        ticket.make(PIN, bytes(39)).text + "a",
        ticket.make(PIN.upper(), bytes(39)).text,
        ticket.make(PIN, bytes(39)).text.replace(".", "-"),
    ],
)
def test_what_is_no_token_is_refused_with_what_one_looks_like(text):
    with pytest.raises(InvalidInput, match=r"litj1\.<64"):
        ticket.parse(text)
