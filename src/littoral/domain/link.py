"""Link: what is known of the way between a node and control, and the rules both ends keep there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from littoral.domain.ids import NodeId
from littoral.domain.units import Micros, Seconds

RESUME_S: Final = Seconds(60.0)
"""How long both ends keep a session whose connection was lost."""
SPREAD_S: Final = Seconds(5.0)
"""Least time over which nodes that were turned away spread their return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a node says that it lives, and after which silence it is doubted and given up."""

    beat_s: Seconds
    suspect_s: Seconds
    lost_s: Seconds


LIVELY: Final = Rhythm(beat_s=Seconds(5.0), suspect_s=Seconds(12.0), lost_s=Seconds(20.0))


METERED: Final = Rhythm(beat_s=Seconds(30.0), suspect_s=Seconds(75.0), lost_s=Seconds(120.0))
"""For links where each byte is paid for."""
HANDSHAKES: Final = 100.0
"""Handshakes a second that any listener manages: what returning nodes are spread by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, as its certificate says: verified by TLS, but for the dates."""

    node: NodeId
    serial: str
    """Hexadecimal, lower case."""
    until_us: Micros
    """When the certificate ends, UTC microseconds."""
    from_us: Micros = Micros(0)
    """When it begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What one end shows and trusts, PEM: its certificate and chain, its key, the roots."""

    chain: str
    key: str
    roots: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What one end measured of a link, in one clock: its own.

    ``rtt_s`` is the smoothed round trip, ``least_s`` the least of ten minutes, ``p90_s`` what nine
    of ten stay under; ``goodput`` bytes a second that the other end took while there was enough to
    send. 0: not measured yet. ``silent_s`` is how long nothing came; ``trouble`` says why there is
    no connection now, empty where there is one.
    """

    silent_s: Seconds
    rtt_s: Seconds
    least_s: Seconds
    p90_s: Seconds
    goodput: float
    resumed: int = 0
    strange: int = 0
    """Frames of types that this build does not know: they were passed over."""
    trouble: str = ""


CLOSE_CODES: Final[Mapping[str, int]] = {
    "superseded": 4001,
    "revoked": 4002,
    "protocol": 4003,
    "overloaded": 4004,
    "lost": 4005,
    "certificate": 4006,
    "drained": 4007,
}
"""Codes of a close by reason; any other reason is told with an ordinary close."""
REASONS: Final[Mapping[int, str]] = {code: reason for reason, code in CLOSE_CODES.items()}
FINAL: Final = frozenset({"superseded", "revoked", "protocol", "drained", "closed"})
"""Reasons after which a session is over; after all others it may be resumed."""


def spread_s(nodes: int, handshakes: float) -> Seconds:
    """Over how long so many nodes return if a listener takes ``handshakes`` a second."""
    return Seconds(max(SPREAD_S, 1.5 * nodes / max(handshakes, 1.0)))
