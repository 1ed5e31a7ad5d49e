"""Personal data: what is found, what only looks like it, and that nothing found stays."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.guard import PERSONAL
from littoral.trust.redaction import is_card_number, is_identity_number, redact

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@st.composite
def identities(draw):
    area = draw(st.integers(110000, 659999))
    born = draw(st.dates())
    year = draw(st.integers(1900, 2099))
    front = f"{area}{year}{born:%m%d}{draw(st.integers(0, 999)):03}"
    total = sum(int(d) * w for d, w in zip(front, WEIGHTS, strict=True))
    return front + "10X98765432"[total % 11]


@st.composite
def cards(draw):
    front = draw(st.text(string.digits, min_size=12, max_size=18).filter(lambda d: len(set(d)) > 1))
    total = sum(
        sum(divmod(int(d) * 2, 10)) if at % 2 == 0 else int(d)
        for at, d in enumerate(reversed(front))
    )
    return front + str(-total % 10)


words = st.text(st.sampled_from("云岸 abc,。\n"), max_size=10)
addresses = st.ip_addresses().map(str).filter(lambda text: text != "::")
emails = st.from_regex(r"[a-z0-9._%+-]{1,20}@([a-z0-9]{1,8}\.){1,3}[a-z]{2,6}", fullmatch=True)
phones = st.from_regex(r"(\+86 )?1[3-9][0-9]{9}", fullmatch=True)


@given(words, st.one_of(identities(), cards(), addresses, emails, phones), words)
def test_nothing_personal_is_left(before, secret, after):
    text = f"{before} {secret} {after}"
    found = redact(text, PERSONAL)
    assert secret not in found
    assert found.startswith(before)
    assert found.endswith(after)


@given(st.text(st.sampled_from(string.printable + "云岸"), max_size=60))
def test_what_was_redacted_stays_as_it_is(text):
    once = redact(text, PERSONAL)
    assert redact(once, PERSONAL) == once


@given(st.text(max_size=60))
def test_without_kinds_nothing_changes(text):
    assert redact(text, ()) == text


@given(identities())
def test_one_wrong_sign_makes_it_no_identity(number):
    assert is_identity_number(number)
    wrong = number[:-1] + ("0" if number[-1] != "0" else "1")
    assert not is_identity_number(wrong)


@given(cards())
def test_one_wrong_digit_makes_it_no_card(number):
    assert is_card_number(number)
    assert not is_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Mail a.b+c@example.com.cn, please", "Mail [EMAIL], please"),
        ("电话13800138000。", "电话[PHONE]。"),
        ("+86 138-0013-8000 or 010-62345678", "[PHONE] or [PHONE]"),
        ("+1 (415) 555-2671 now", "[PHONE] now"),
        ("身份证11010519491231002X。", "身份证[ID]。"),
        ("card 4111 1111 1111 1111!", "card [CARD]!"),
        ("4111-1111-1111-1111", "[CARD]"),
        ("at 10.0.0.1:80 and fe80::1.", "at [IP]:80 and [IP]."),
        ("::ffff:1.2.3.4", "[IP]"),
    ],
)
def test_what_is_found(text, left):
    assert redact(text, PERSONAL) == left


@pytest.mark.parametrize(
    "text",
    [
        "a@b, @home, me@localhost",
        "version 1.2.3.4.5 and 999.1.1.1",
        "order 110105194912310021 of 4111111111111112",
        "11010519490231002X",
        "0000000000000000",
        "at 12:30:45, std::vector in C++, ::",
        "1380013800 and 123456789012",
        "a gain of +123 or +12 34",
        "sha 13800138000abc",
    ],
)
def test_what_only_looks_like_it_stays(text):
    assert redact(text, PERSONAL) == text


def test_only_the_kinds_asked_for_are_looked_for():
    text = "a@example.com 13800138000"
    assert redact(text, ("email",)) == "[EMAIL] 13800138000"
    assert redact(text, ("phone",)) == "a@example.com [PHONE]"


@pytest.mark.parametrize("number", ["", "123", "1" * 18, "x" * 18, "11010518001331002X"])
def test_a_number_that_is_none_is_none(number):
    assert not is_identity_number(number)
    assert not is_card_number(number)


@pytest.mark.parametrize("piece", ["a", "1", "@", "1.", ":", "a.", "1 ", "-", "+1", "0", "a@a."])
def test_a_long_text_of_one_piece_is_searched_in_the_time_of_its_length(piece):
    text = piece * (200_000 // len(piece))
    assert redact(text, PERSONAL) is not None
