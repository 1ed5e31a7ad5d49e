"""Chain: a mac over each row of a queue and the mac of the row before it.

It finds flipped bits, and it tells two copies of one disk apart from the first row on which they
differ. The key lies beside the rows: it is no proof against whoever may write both.
"""

import hashlib
import hmac
from typing import Final

MAC_BYTES: Final = 16
KEY_BYTES: Final = 32


def row_mac(key: bytes, before: bytes, row: tuple[int, int, int, bytes]) -> bytes:
    """The mac of a row.

    Args:
        key: ``KEY_BYTES`` of entropy, made with the queue.
        before: The mac of the row before; empty for the first.
        row: Its number, kind, time and body.
    """
    number, kind, at_us, body = row
    head = b"%b|%d|%d|%d|" % (before, number, kind, at_us)
    return hmac.digest(key, head + body, hashlib.sha256)[:MAC_BYTES]
