"""Switch: streams of one channel joined to streams of another; it forwards and decides nothing.

Whoever owns the channels asks where an opened stream shall go, tells the switch, and sends what
the switch says. Senders that go beyond what was allowed to them, and receivers that allow more than
anybody needs, lose their stream: nothing between two nodes can be made to grow by either.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import MOST_STREAMS, WINDOW, ResetCode

Port: TypeAlias = str
Streamed: TypeAlias = Open | Data | Reset | Credit
Passed: TypeAlias = list[tuple[Port, Streamed]]
"""What to send, and on which channel."""
MOST_AHEAD: Final = 16 * WINDOW
"""Bytes that a receiver may allow beyond what has passed."""
_PASSED_ALL: Final = "more bytes came than were allowed"
_ALLOWED_ALL: Final = "more bytes were allowed than may wait"


@dataclass(slots=True, eq=False)
class _End:
    """One end of a joined stream: what came from it, and what may."""

    port: Port
    stream: int
    calls: bool
    came: int = 0
    allowed: int = WINDOW
    other: "_End | None" = None


class Switch:
    """The joined streams of some channels.

    Args:
        most: Streams that may be open on one channel.
    """

    def __init__(self, *, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._next: dict[Port, int] = {}
        self._ends: dict[Port, dict[int, _End]] = {}
        self._newest: dict[Port, int] = {}

    def join(self, port: Port, *, first: int) -> None:
        """A channel is open; ``first`` (1 or 2) is the first number that we give to streams there.

        Of two ends of a channel one gives odd numbers and the other one even ones.
        """
        self._next[port] = first
        self._ends[port] = {}
        self._newest[port] = 0

    def leave(self, port: Port) -> Passed:
        """A channel is gone: what was joined through it ends."""
        ends = self._ends.pop(port, {})
        self._next.pop(port, None)
        lost: Passed = []
        for end in ends.values():
            lost += self._end_other(end, "session_lost", "the way to the other node is gone")
        return lost

    def has(self, port: Port) -> bool:
        """Whether a channel is open."""
        return port in self._ends

    def load(self, port: Port) -> int:
        """How many streams are open on a channel."""
        return len(self._ends.get(port, ()))

    def open(self, port: Port, frame: Open, *, to: Port) -> Passed:
        """Join a stream that was opened on one channel to a new one on another."""
        ends, others = self._ends.get(port), self._ends.get(to)
        if ends is None or not self._is_new(port, frame.stream):
            return []
        if others is None:
            return [(port, _reset(frame.stream, "session_lost", "no way leads to that node now"))]
        if max(len(ends), len(others)) >= self._most:
            why = f"{self._most} calls are open between these nodes"
            return [(port, _reset(frame.stream, "refused", why))]
        number = self._next[to]
        self._next[to] = number + 2
        one = ends[frame.stream] = _End(port, frame.stream, calls=True)
        two = others[number] = _End(to, number, calls=False)
        one.other, two.other = two, one
        return [(to, Open(stream=number, head=frame.head))]

    def take(self, port: Port, frame: Data | Reset | Credit) -> Passed:
        """Pass on what came; what belongs to no stream is late and goes nowhere."""
        end = self._ends.get(port, {}).get(frame.stream)
        if end is None or end.other is None:
            return []
        other = end.other
        if isinstance(frame, Credit):
            if frame.upto - other.came > MOST_AHEAD:
                return self._cut(end, _ALLOWED_ALL)
            other.allowed = max(other.allowed, frame.upto)
            return [(other.port, Credit(stream=other.stream, upto=frame.upto))]
        if isinstance(frame, Reset):
            self._forget(end)
            return self._end_other(end, frame.code, frame.message, retryable=frame.retryable)
        end.came += len(frame.body)
        if end.came > end.allowed:
            return self._cut(end, _PASSED_ALL)
        if frame.fin and not end.calls:
            self._forget(end)
            self._forget(other)
        passed = Data(stream=other.stream, body=frame.body, fin=frame.fin, head=frame.head)
        return [(other.port, passed)]

    def _is_new(self, port: Port, stream: int) -> bool:
        """Whether the peer may open this number: its own to give, and never used."""
        if stream <= self._newest[port] or not (stream + self._next[port]) % 2:
            return False
        self._newest[port] = stream
        return True

    def _cut(self, end: _End, message: str) -> Passed:
        """End a stream whose rules were broken, on both sides."""
        self._forget(end)
        told: Passed = [(end.port, _reset(end.stream, "refused", message))]
        return told + self._end_other(end, "internal", message)

    def _end_other(
        self, end: _End, code: ResetCode, message: str, *, retryable: bool | None = None
    ) -> Passed:
        other = end.other
        if other is None or not self._forget(other):
            return []
        return [(other.port, _reset(other.stream, code, message, retryable=retryable))]

    def _forget(self, end: _End) -> bool:
        return self._ends.get(end.port, {}).pop(end.stream, None) is not None


def _reset(stream: int, code: ResetCode, message: str, *, retryable: bool | None = None) -> Reset:
    again = code in {"session_lost", "refused"} if retryable is None else retryable
    return Reset(stream=stream, code=code, retryable=again, message=message)
