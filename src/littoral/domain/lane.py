"""Lanes: in which order frames leave, how many may be under way, and which are sent again.

Three lanes share one connection: control (0), inference (1), telemetry (2), strictly in this order.
A priority alone means nothing: bytes that kernel and network have already taken cannot be
overtaken. So lanes 1 and 2 together keep at most a window of bytes unacknowledged, and the window
follows the delay that the link shows. Everything here is pure: the time is an argument.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from littoral.domain.units import Seconds

CONTROL: Final = 0
INFERENCE: Final = 1
TELEMETRY: Final = 2
LANES: Final = 3
LEAST_WINDOW: Final = 16 * 1024
MOST_WINDOW: Final = 4 * 1024 * 1024
TARGET_S: Final = 0.25
"""Delay beyond the least one that the window aims below."""
MOST_CONTROL: Final = 256 * 1024
"""Unacknowledged bytes of lane 0 beyond which its senders wait."""
OVERHEAD: Final = 64
"""Counted for each frame beside its body, so that empty ones are not free."""
LEAST_CHUNK: Final = 4 * 1024 - OVERHEAD
MOST_CHUNK: Final = 32 * 1024 - OVERHEAD
MORE: Final = 1
"""Flag: the body goes on in the next frame of this lane and stream."""
DEFLATED: Final = 4
"""Flag: the whole body is compressed."""
RECENT_S: Final = 300.0
"""Half of the time over which the least round trip is remembered."""
SAMPLES: Final = 64
ENOUGH: Final = 64 * 1024
"""Bytes from which on a transfer says something about goodput."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One frame on the wire. ``stream`` 0 is the session; ``seq`` counts per lane, from 1."""

    type: int
    lane: int
    stream: int
    seq: int
    flags: int
    body: bytes


def cost(parcel: Parcel) -> int:
    """Bytes that a parcel counts in windows and bounds."""
    return len(parcel.body) + OVERHEAD


def widened(window: float, size: int, queued_s: float) -> float:
    """The window after ``size`` bytes were acknowledged that waited ``queued_s`` on the way.

    It grows while the wait is below ``TARGET_S`` and shrinks above it, by at most twice the size
    scaled with its share of the window.
    """
    push = max(-1.0, min(1.0, (TARGET_S - queued_s) / TARGET_S))
    share = min(1.0, size / window)
    return min(max(window + 2 * size * share * push, LEAST_WINDOW), MOST_WINDOW)


def chunk_of(window: float) -> int:
    """Most bytes of one frame at this window: small where the link is slow."""
    return int(min(max(window / 8 - OVERHEAD, LEAST_CHUNK), MOST_CHUNK))


class Trips:
    """Round trips: smoothed, the least of ten minutes, and what nine of ten stay under."""

    __slots__ = ("_last", "_least", "_older", "_since", "smooth_s")

    def __init__(self) -> None:
        self._least = self._older = float("inf")
        self._since = Seconds(0.0)
        self._last: deque[float] = deque(maxlen=SAMPLES)
        self.smooth_s = Seconds(0.0)

    def take(self, trip: float, now: Seconds) -> None:
        """Note one round trip, seconds."""
        if now - self._since >= RECENT_S:
            self._older = self._least if now - self._since < 2 * RECENT_S else float("inf")
            self._least, self._since = float("inf"), now
        self._least = min(self._least, trip)
        self.smooth_s = Seconds(self.smooth_s + (trip - self.smooth_s) / 8 if self._last else trip)
        self._last.append(trip)

    @property
    def least_s(self) -> Seconds:
        """The least one of the last five to ten minutes; 0 where there is none."""
        return Seconds(min(self._least, self._older) if self._last else 0.0)

    @property
    def p90_s(self) -> Seconds:
        """What nine of ten of the last ones stay under; 0 where there is none."""
        held = sorted(self._last)
        return Seconds(held[min(len(held) - 1, len(held) * 9 // 10)] if held else 0.0)


@dataclass(slots=True, eq=False)
class _Message:
    """A frame that waits, and how far it was sent; ``flags`` are those of the whole."""

    type: int
    lane: int
    stream: int
    flags: int
    body: bytes
    at: int = 0


@dataclass(slots=True, eq=False)
class _Sent:
    """A parcel under way, since when."""

    parcel: Parcel
    at: Seconds


class _Lane:
    """What one lane has to send and has sent."""

    __slots__ = ("again", "sent", "seq", "streams", "unacked", "unsent")

    def __init__(self) -> None:
        self.seq = 0
        self.unacked = 0
        self.streams: OrderedDict[int, deque[_Message]] = OrderedDict()
        self.again: deque[Parcel] = deque()
        self.sent: deque[_Sent] = deque()
        self.unsent = 0

    def put(self, message: _Message) -> None:
        self.streams.setdefault(message.stream, deque()).append(message)
        self.unsent += len(message.body) + OVERHEAD

    def next_size(self, chunk: int) -> int:
        """Bytes of the next parcel; 0 where there is none."""
        if self.again:
            return cost(self.again[0])
        for waiting in self.streams.values():
            left = len(waiting[0].body) - waiting[0].at
            return min(left, chunk) + OVERHEAD
        return 0

    def cut(self, chunk: int) -> Parcel:
        """Take the next parcel: what is sent again first, then one piece of each stream in turn."""
        if self.again:
            return self.again.popleft()
        stream, waiting = self.streams.popitem(last=False)
        message = waiting[0]
        piece = message.body[message.at : message.at + chunk]
        message.at += len(piece)
        ended = message.at >= len(message.body)
        self.unsent -= len(piece)
        if ended:
            waiting.popleft()
            self.unsent -= OVERHEAD
        if waiting:
            self.streams[stream] = waiting
        self.seq += 1
        self.unacked += len(piece) + OVERHEAD
        return Parcel(
            type=message.type,
            lane=message.lane,
            stream=stream,
            seq=self.seq,
            flags=message.flags | (0 if ended else MORE),
            body=piece,
        )

    def covered(self, seq: int) -> Iterator[_Sent]:
        """Take what is acknowledged up to ``seq``."""
        while self.sent and self.sent[0].parcel.seq <= seq:
            self.unacked -= cost(self.sent[0].parcel)
            yield self.sent.popleft()

    def rewind(self, seen: int) -> None:
        """Whatever the other end has not seen is sent again, before all else."""
        kept = [each.parcel for each in self.sent if each.parcel.seq > seen]
        kept += [each for each in self.again if each.seq > seen]
        self.sent.clear()
        self.again = deque(kept)
        self.unacked = sum(cost(each) for each in kept)


class Outgoing:
    """The sending half of a session: it outlives the connections that carry it."""

    def __init__(self) -> None:
        self._lanes = tuple(_Lane() for _ in range(LANES))
        self._under_way = 0
        self._run_at: Seconds | None = None
        self._run = 0
        self.window = float(LEAST_WINDOW)
        self.goodput = 0.0
        self.trips = Trips()

    def put(self, kind: tuple[int, int, int], body: bytes, *, flags: int = 0) -> None:
        """Let a frame wait. ``kind`` is its type, lane and stream."""
        number, lane, stream = kind
        message = _Message(number, lane, stream, flags, body)
        self._lanes[lane].put(message)

    def has_room(self, lane: int) -> bool:
        """Whether another frame may wait there; a lane that is empty takes one of any size."""
        held = self._lanes[lane]
        if lane == CONTROL:
            return held.unsent + held.unacked < MOST_CONTROL
        return held.unsent < max(self.window, 2 * MOST_CHUNK)

    @property
    def waits(self) -> bool:
        """Whether anything was not given to the connection yet."""
        return any(lane.again or lane.streams for lane in self._lanes)

    def next(self, now: Seconds) -> Parcel | None:
        """The next parcel that may leave now; None while there is none, or the window is full."""
        chunk = chunk_of(self.window)
        for number, lane in enumerate(self._lanes):
            size = lane.next_size(MOST_CHUNK if number == CONTROL else chunk)
            if not size:
                continue
            if number != CONTROL:
                if self._under_way and self._under_way + size > self.window:
                    return None
                if not self._under_way:
                    self._run_at, self._run = now, 0
                self._under_way += size
            parcel = lane.cut(MOST_CHUNK if number == CONTROL else chunk)
            lane.sent.append(_Sent(parcel, now))
            return parcel
        return None

    def acked(self, lane: int, seq: int, *, held_s: float | None, now: Seconds) -> None:
        """The other end has everything of a lane up to ``seq``.

        Args:
            lane: Which.
            seq: The last one that it has.
            held_s: How long it had that one before it said so; None where that says nothing.
            now: The time here.

        Raises:
            ValueError: So much was never sent.
        """
        if not 0 <= seq <= self._lanes[lane].seq:
            raise ValueError(f"lane {lane} was not sent up to {seq}")
        covered = list(self._lanes[lane].covered(seq))
        if not covered:
            return
        queued = None
        if held_s is not None and covered[-1].parcel.seq == seq:
            trip = max(0.0, now - covered[-1].at - held_s)
            self.trips.take(trip, now)
            queued = trip - self.trips.least_s
        if lane == CONTROL:
            return
        for each in covered:
            size = cost(each.parcel)
            self._under_way -= size
            self._run += size
            if queued is not None:
                self.window = widened(self.window, size, queued)
        self._measure(now)

    def _measure(self, now: Seconds) -> None:
        if self._run >= ENOUGH and self._run_at is not None and now > self._run_at:
            rate = self._run / (now - self._run_at)
            self.goodput += (rate - self.goodput) / 4 if self.goodput else rate
            self._run_at, self._run = now, 0

    def rewind(self, seen: tuple[int, ...]) -> None:
        """Go on over a new connection: what was not seen at the other end is sent again.

        Raises:
            ValueError: The other end claims to have seen what was never sent.
        """
        for lane, upto in zip(self._lanes, seen, strict=True):
            if not 0 <= upto <= lane.seq:
                raise ValueError("more was seen than was sent")
        for lane, upto in zip(self._lanes, seen, strict=True):
            lane.rewind(upto)
        self._under_way = 0
        self._run_at = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A frame that came in full; ``seq`` is that of its last parcel."""

    type: int
    lane: int
    flags: int
    body: bytes
    seq: int


class Hostile(Exception):
    """The other end breaks the rules of the link; the message says which."""


class Incoming:
    """The receiving half of a session: puts frames together, each once and in order of its lane.

    Args:
        most: Most bytes of frames that are not complete, of each lane.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._partial: dict[tuple[int, int], list[bytes]] = {}
        self._held = [0] * LANES
        self._ready: tuple[deque[Whole], ...] = tuple(deque() for _ in range(LANES))
        self._waiting = [0] * LANES
        self._seen = [0] * LANES
        self._came = [Seconds(0.0)] * LANES

    @property
    def seen(self) -> tuple[int, ...]:
        """The last number that came, of each lane."""
        return tuple(self._seen)

    def take(self, parcel: Parcel, now: Seconds) -> None:
        """Take one parcel; one that came before is dropped.

        Raises:
            Hostile: One is missing before it, or more is held back than may be.
        """
        lane = parcel.lane
        if parcel.seq <= self._seen[lane]:
            return
        if parcel.seq != self._seen[lane] + 1:
            raise Hostile(f"parcel {parcel.seq} of lane {lane} came after {self._seen[lane]}")
        self._seen[lane] = parcel.seq
        self._came[lane] = now
        place = (lane, parcel.stream)
        if parcel.flags & MORE or place in self._partial:
            self._hold(place, parcel)
        if not parcel.flags & MORE:
            self._complete(place, parcel)

    def _hold(self, place: tuple[int, int], parcel: Parcel) -> None:
        self._held[parcel.lane] += cost(parcel)
        if self._held[parcel.lane] > self._most:
            raise Hostile(f"frames over {self._most} bytes on lane {parcel.lane}")
        self._partial.setdefault(place, []).append(parcel.body)

    def _complete(self, place: tuple[int, int], parcel: Parcel) -> None:
        pieces = self._partial.pop(place, None)
        body = parcel.body
        if pieces is not None:
            body = b"".join(pieces)
            self._held[parcel.lane] -= len(body) + OVERHEAD * len(pieces)
        self._waiting[parcel.lane] += len(body) + OVERHEAD
        bound = 2 * MOST_CONTROL if parcel.lane == CONTROL else 2 * MOST_WINDOW + self._most
        if self._waiting[parcel.lane] > bound:
            raise Hostile(f"lane {parcel.lane} is sent beyond what was acknowledged")
        self._ready[parcel.lane].append(
            Whole(
                type=parcel.type,
                lane=parcel.lane,
                flags=parcel.flags,
                body=body,
                seq=parcel.seq,
            )
        )

    def pop(self) -> Whole | None:
        """The next frame: of the first lane that has one."""
        for lane, ready in enumerate(self._ready):
            if ready:
                whole = ready.popleft()
                self._waiting[lane] -= len(whole.body) + OVERHEAD
                return whole
        return None

    def acknowledged(self, now: Seconds) -> Iterator[tuple[int, int, float | None]]:
        """For each lane: up to which parcel all was taken, and since when the last one is here.

        What waits to be taken is not acknowledged, so a slow reader slows the sender down.
        """
        for lane, ready in enumerate(self._ready):
            if ready:
                yield lane, ready[0].seq - 1, None
            elif self._seen[lane]:
                yield lane, self._seen[lane], now - self._came[lane]
