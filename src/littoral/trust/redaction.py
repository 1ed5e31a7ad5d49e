"""Redaction: personal data found in texts and replaced by the name of its kind.

A number is taken for what its checksum says: a Chinese identity number by GB 11643 and the date in
it, a bank card by Luhn. What only looks like one stays.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from typing import Final

from littoral.domain.guard import Personal

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9])"
)
_CN_ID = re.compile(r"(?<![0-9A-Za-z])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_CARD = re.compile(r"(?<![0-9A-Za-z])(?:[0-9](?:[ -](?=[0-9]))?){13,19}(?![0-9A-Za-z])")
_PHONE = re.compile(
    r"(?<![0-9A-Za-z+])(?:"
    r"(?:(?:\+|00)86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
    r"|0[1-9][0-9]{1,2}-[2-9][0-9]{6,7}"
    r"|\+(?=(?:[ .()-]{0,2}[0-9]){8})[1-9][0-9]{0,2}(?:[ .-]?\(?[0-9]{1,4}\)?){2,5}"
    r")(?![0-9A-Za-z])"
)
_DIGITS = re.compile(r"[0-9](?:[ .()-]{0,2}[0-9]){7}")
"""What every number that is looked for has; most texts have none, and one search tells."""
_IP_4 = re.compile(r"(?<![0-9.A-Za-z])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9A-Za-z]|\.[0-9])")
_IP_6 = re.compile(r"(?<![0-9A-Za-z:.])[0-9A-Fa-f:]{2,39}(?:\.[0-9]{1,3}){0,3}(?![0-9A-Za-z:])")
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def redact(text: str, kinds: Collection[Personal]) -> str:
    """Replace personal data by the name of its kind in brackets, such as ``[EMAIL]``.

    Args:
        text: Any text.
        kinds: What to look for.

    Returns:
        The text; applied again it stays the same.

    Checked by: tests/unit/trust/test_redaction.py.
    """
    numbers = _DIGITS.search(text) is not None
    for kind in _ORDER:
        if kind in kinds and (numbers or kind not in _NUMBERS):
            text = _FINDERS[kind](text)
    return text


def is_identity_number(number: str) -> bool:
    """Whether 18 signs are a Chinese identity number: its date exists, its checksum is right."""
    if not re.fullmatch(r"[0-9]{17}[0-9Xx]", number):
        return False
    year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
    if not (1800 <= year <= 2199 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == number[17].upper()


def is_card_number(number: str) -> bool:
    """Whether 13 to 19 digits satisfy Luhn, and are not all the same."""
    if not re.fullmatch(r"[0-9]{13,19}", number) or len(set(number)) == 1:
        return False
    total = 0
    for at, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _emails(text: str) -> str:
    return _EMAIL.sub("[EMAIL]", text) if "@" in text else text


def _phones(text: str) -> str:
    return _PHONE.sub("[PHONE]", text)


def _identities(text: str) -> str:
    return _CN_ID.sub(lambda m: "[ID]" if is_identity_number(m[0]) else m[0], text)


def _cards(text: str) -> str:
    def told(found: re.Match[str]) -> str:
        digits = found[0].replace(" ", "").replace("-", "")
        return "[CARD]" if is_card_number(digits) else found[0]

    return _CARD.sub(told, text)


def _addresses(text: str) -> str:
    if ":" in text:
        text = _IP_6.sub(lambda m: _address(m[0]), text)
    return _IP_4.sub(lambda m: _address(m[0]), text) if "." in text else text


def _address(found: str) -> str:
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return found
    return found if found == "::" else "[IP]"


_FINDERS: Final[dict[Personal, Callable[[str], str]]] = {
    "email": _emails,
    "phone": _phones,
    "cn_id": _identities,
    "bank_card": _cards,
    "ip": _addresses,
}
_ORDER: Final[tuple[Personal, ...]] = ("email", "cn_id", "bank_card", "ip", "phone")
"""Longer numbers before what might be found within them."""
_NUMBERS: Final = frozenset({"cn_id", "bank_card", "phone"})
