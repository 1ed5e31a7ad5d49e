"""Stream: one call from node to node over a channel of frames, and the flow of its bytes.

A call is opened by a head, its body follows as data, and the answer comes back the same way; either
side may reset it. Bytes go only as far as the receiver has allowed, so what lies between holds at
most ``WINDOW`` bytes of each direction of each stream. The functions and records here are pure:
whoever has a channel asks them what to send.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, ProjectId, RequestId
from littoral.domain.reach import Residency

WINDOW: Final = 64 * 1024
"""Bytes that a receiver allows ahead, also before it has said anything."""
CHUNK: Final = 16 * 1024
"""Most bytes of one piece of data."""
MOST_STREAMS: Final = 256
"""Calls that may be open on one channel."""
MOST_HOPS: Final = 1
"""A call that came from another node is answered there: it is never sent on."""

PathKind: TypeAlias = Literal["relay", "peer"]
"""How a call gets to its node: through control, or straight there."""
CallKind: TypeAlias = Literal["http", "admin"]
"""What is called: the engines of another node, or control's own API."""
ResetCode: TypeAlias = Literal[
    "cancelled",
    "deadline",
    "session_lost",
    "refused",
    "no_candidate",
    "engine_failed",
    "too_large",
    "internal",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """The way from here to an endpoint of another node.

    ``endpoint`` is its id there. ``rtt_s`` is the round trip, seconds, as measured; ``within`` are
    the residencies that allow every hop of the way and the node at its end.
    """

    node: NodeId
    endpoint: EndpointId
    path: PathKind
    rtt_s: float = 0.0
    within: tuple[Residency, ...] = ("any",)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHead:
    """What a call asks: of whom, for whom, and within which time.

    ``deadline_ms`` is what is left, milliseconds; 0 for none. ``size`` is the body's length in
    bytes, ``level`` the priority, 0 the highest. The client's own credentials never travel:
    ``key`` names it.
    """

    to: NodeId
    origin: NodeId
    via: PathKind = "relay"
    kind: CallKind = "http"
    hops: int = 0
    path: str
    request: RequestId
    attempt: int = 0
    project: ProjectId
    key: KeyId
    deployment: DeploymentName
    model: str
    size: int
    deadline_ms: int = 0
    level: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHead:
    """What opens an answer, and what closes it.

    The last one of an answer has the tokens that were counted where it was made.
    """

    status: int
    tokens_in: int = 0
    cached: int = 0
    tokens_out: int = 0


class Inward:
    """What one end takes of a stream: how much has come, and how much it allows."""

    __slots__ = ("_allowed", "_held", "_taken")

    def __init__(self) -> None:
        self._taken = 0
        self._allowed = WINDOW
        self._held = False

    def take(self, size: int) -> bool:
        """Note that so many bytes came; False where they were not allowed."""
        self._taken += size
        return self._taken <= self._allowed

    def hold(self, *, stop: bool) -> None:
        """Allow nothing further until told to."""
        self._held = stop

    def grant(self) -> int:
        """The new total to allow, once that is half a window more than before; 0 until then."""
        wish = self._taken + WINDOW
        if self._held or wish - self._allowed < WINDOW // 2:
            return 0
        self._allowed = wish
        return wish


class Outward:
    """What one end sends on a stream: what waits, and how far it may go."""

    __slots__ = ("_allowed", "_closing", "_pieces", "_sent", "ended", "waiting")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._sent = 0
        self._allowed = WINDOW
        self._closing = False
        self.waiting = 0
        """Bytes that wait for leave."""
        self.ended = False

    def put(self, data: bytes, *, last: bool = False) -> None:
        """Let bytes wait; nothing comes after the ``last``."""
        if data:
            self._pieces.append(data)
            self.waiting += len(data)
        self._closing = self._closing or last

    def allow(self, upto: int) -> None:
        """The receiver allows so many bytes in all; a lower figure than before says nothing."""
        self._allowed = max(self._allowed, upto)

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """What may go now, piece by piece, each with whether it is the last."""
        while self._pieces and self._sent < self._allowed:
            data = self._pieces.popleft()
            most = min(CHUNK, self._allowed - self._sent)
            if len(data) > most:
                self._pieces.appendleft(data[most:])
                data = data[:most]
            self._sent += len(data)
            self.waiting -= len(data)
            self.ended = self._closing and not self._pieces
            yield data, self.ended
        if self._closing and not self._pieces and not self.ended:
            self.ended = True
            yield b"", True
