"""Join tokens: how one is made, read and checked.

``litj1.<pin>.<id>.<secret>``: the pin is SHA-256 of the root certificate's public key in 64
hexadecimal digits, so that a machine knows whom it speaks to before it says anything; the id has
10 base32, the secret 52 base32 characters (256 random bits). Control keeps the HMAC of the secret.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from littoral.domain.errors import InvalidInput

TICKET: Final = re.compile(r"litj1\.([0-9a-f]{64})\.([a-z2-7]{10})\.([a-z2-7]{52})")
NOISE_BYTES: Final = 39
PURPOSE: Final = "ticket"
"""What the key of the HMAC is derived for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A join token taken apart."""

    pin: str
    id: str
    secret: str

    @property
    def text(self) -> str:
        """The token as people hand it on."""
        return f"litj1.{self.pin}.{self.id}.{self.secret}"


def make(pin: str, noise: bytes) -> Ticket:
    """Make a token.

    Args:
        pin: Of the root certificate.
        noise: 39 bytes of entropy; the first 32 become the secret, the rest the id.

    Raises:
        ValueError: ``noise`` has another length.
    """
    if len(noise) != NOISE_BYTES:
        raise ValueError(f"a join token needs {NOISE_BYTES} bytes of entropy, got {len(noise)}")
    secret, name = (base64.b32encode(part).decode().lower() for part in (noise[:32], noise[32:]))
    return Ticket(pin=pin, id=name[:10], secret=secret.rstrip("="))


def parse(text: str) -> Ticket:
    """Take a token apart.

    Raises:
        InvalidInput: It is none.
    """
    found = TICKET.fullmatch(text.strip())
    if found is None:
        raise InvalidInput(
            "this is no join token: one looks like litj1.<64 hexadecimal digits>.<10>.<52 letters "
            "and digits>; 'littoral nodes invite' makes one",
            param="token",
        )
    return Ticket(pin=found[1], id=found[2], secret=found[3])


def mac_of(ticket: Ticket, *, key: bytes) -> bytes:
    """Return what control keeps of a token: HMAC-SHA256 of its secret's digest."""
    return hmac.digest(key, hashlib.sha256(ticket.secret.encode()).digest(), "sha256")


def good(ticket: Ticket, mac: bytes, *, key: bytes) -> bool:
    """Say whether a token is the one whose MAC is kept; the time taken does not tell how wrong.

    Checked by: tests/unit/trust/test_ticket.py.
    """
    return hmac.compare_digest(mac_of(ticket, key=key), mac)
