"""Units as types: a number that has a unit says so in its type or in its name."""

from typing import NewType

Seconds = NewType("Seconds", float)
Bytes = NewType("Bytes", int)
Tokens = NewType("Tokens", int)
Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01 UTC: display, expiry and quota windows only."""
