"""Ids and names: what they look like, and how new ones are made."""

import base64
import re
from typing import NewType

from littoral.domain.errors import InvalidInput
from littoral.domain.units import Micros

ProjectId = NewType("ProjectId", str)
KeyId = NewType("KeyId", str)
ModelName = NewType("ModelName", str)
DeploymentName = NewType("DeploymentName", str)
UpstreamName = NewType("UpstreamName", str)
NodeId = NewType("NodeId", str)
EndpointId = NewType("EndpointId", str)
RequestId = NewType("RequestId", str)
Digest = NewType("Digest", str)
"""``sha256:`` and 64 lower-case hexadecimal digits."""

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
TAG = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def checked_name(value: str, *, what: str) -> str:
    """Return ``value`` if it may name a resource.

    Args:
        value: The name as given by a caller.
        what: What it names, for the message (``"deployment"``).

    Raises:
        InvalidInput: Not 1 to 63 of ``a-z 0-9 . _ -``, or not alphanumeric at both ends.
    """
    if NAME.fullmatch(value) is None:
        allowed = "1 to 63 of a-z 0-9 . _ -, beginning and ending with a letter or digit"
        raise InvalidInput(f"{value!r} cannot name a {what}: allowed are {allowed}")
    return value


def checked_tag(value: str, *, at: str) -> str:
    """Return ``value`` if it may be a tag, or is empty, which is none.

    Args:
        value: The tag as given by a caller.
        at: The field that holds it.

    Raises:
        InvalidInput: Not 1 to 32 of ``a-z 0-9 . _ -``, or not alphanumeric at both ends.
    """
    if value and TAG.fullmatch(value) is None:
        allowed = "1 to 32 of a-z 0-9 . _ -, beginning and ending with a letter or digit"
        raise InvalidInput(f"{at}: {value!r:.80} cannot be a tag: allowed are {allowed}", param=at)
    return value


def new_id(prefix: str, *, wall: Micros, noise: bytes) -> str:
    """Make an id that sorts by time: prefix, ``_``, 26 base32 characters.

    Args:
        prefix: Two to four letters that say the kind (``"nd"``).
        wall: UTC microseconds; the milliseconds become the first 48 bits.
        noise: 10 bytes of entropy.
    """
    raw = (wall // 1000).to_bytes(6, "big") + noise
    return f"{prefix}_{base64.b32encode(raw).decode().rstrip('=').lower()}"
