"""Units as types: a number that has a unit says so in its type or in its name."""

from typing import Final, NewType

Seconds = NewType("Seconds", float)
Bytes = NewType("Bytes", int)
Tokens = NewType("Tokens", int)
Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01 UTC: display, expiry and quota windows only."""

SECOND_US: Final = 1_000_000
HOUR_US: Final = 3_600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
