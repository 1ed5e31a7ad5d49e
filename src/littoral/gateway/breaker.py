"""Breaker: an endpoint that keeps failing is left alone for a while, then tried with one request.

``Breaker`` watches one endpoint, ``ejected`` keeps at least half of a model's endpoints in service
whatever their breakers say, and ``Throttle`` spares an external API that refuses most of what it
is sent.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Final

WINDOW_S: Final = 10.0
LEAST_CALLS: Final = 20
WORST: Final = 0.5
"""Share of failures, of at least ``LEAST_CALLS`` calls in ``WINDOW_S``, from which it opens."""
CONNECTS: Final = 5
"""Connect errors in a row from which it opens."""
FIRST_S: Final = 5.0
LONGEST_S: Final = 60.0
"""How long it stays open at first, and at most; each failed probe doubles it."""
_MARK_S: Final = 1.0


class Breaker:
    """One endpoint's record. Failure is a broken connection, a 5xx, silence; never a 4xx.

    ``calls`` is counted up by the owner at each outcome, which keeps the good path free of calls;
    ``alert`` says that an outcome must be told, because a success may change something.
    """

    __slots__ = ("_connects", "_failures", "_marks", "_pause_s", "alert", "calls", "due", "probing")

    def __init__(self) -> None:
        self.calls = 0
        self.alert = False
        self.probing = False
        self.due = 0.0
        self._connects = 0
        self._pause_s = FIRST_S
        self._failures: deque[float] = deque()
        self._marks: deque[tuple[float, int]] = deque([(-math.inf, 0)])

    @property
    def is_open(self) -> bool:
        """Whether it asks for no requests but a probe; ``due`` is when that may go."""
        return self.due > 0.0

    def mark(self, now: float) -> None:
        """Note how many calls there were by now; about once a second."""
        if now - self._marks[-1][0] >= _MARK_S:
            self._marks.append((now, self.calls))
            self._forget(now)

    def failed(self, now: float, *, connect: bool) -> bool:
        """Learn of a failure, already counted in ``calls``; whether it opened, or stays open.

        Args:
            now: Monotonic seconds.
            connect: Whether no connection came about.
        """
        self.alert = True
        if self.is_open:
            return self._probe_failed(now)
        self._connects = self._connects + 1 if connect else 0
        failures = self._failures
        failures.append(now)
        while failures[0] <= now - WINDOW_S:
            failures.popleft()
        self._forget(now)
        calls = max(self.calls - self._marks[0][1], len(failures))
        bad = calls >= LEAST_CALLS and len(failures) >= WORST * calls
        if bad or self._connects >= CONNECTS:
            self._open(now)
        return self.is_open

    def succeeded(self) -> bool:
        """Learn of a success; whether that closed it. Needed only while ``alert``."""
        self._connects = 0
        self.alert = False
        if not self.is_open:
            return False
        self.due = 0.0
        self.probing = False
        self._pause_s = FIRST_S
        self._marks = deque([(-math.inf, self.calls)])
        return True

    def may_probe(self, now: float) -> bool:
        """Whether its pause is over and no probe is under way."""
        return self.is_open and not self.probing and now >= self.due

    def let_go(self) -> None:
        """The probe ended without an outcome, by the caller's own will: another may go."""
        self.probing = False

    def _probe_failed(self, now: float) -> bool:
        if self.probing:
            self.probing = False
            self._pause_s = min(2 * self._pause_s, LONGEST_S)
            self.due = now + self._pause_s
        return True

    def _open(self, now: float) -> None:
        self.due = now + self._pause_s
        self._connects = 0
        self._failures.clear()

    def _forget(self, now: float) -> None:
        """Keep one mark from before the window."""
        marks = self._marks
        while len(marks) > 1 and marks[1][0] <= now - WINDOW_S:
            marks.popleft()


def ejected(breakers: Sequence[Breaker], *, before: int) -> int:
    """Choose which open breakers take their endpoints out of service: at most half of all.

    Args:
        breakers: One an endpoint of the same model.
        before: Bits of those out of service until now: they stay out first, so that the choice
            does not jump.

    Returns:
        A bit a position.
    """
    room = len(breakers) // 2
    opened = [at for at, breaker in enumerate(breakers) if breaker.is_open]
    opened.sort(key=lambda at: (not before >> at & 1, at))
    return sum(1 << at for at in opened[:room])


class Throttle:
    """How much of what is meant for an external API stays here, since the API would refuse it.

    Of ``sent`` requests in two minutes, ``taken`` were not refused for reasons of the API's own:
    ``max(0, (sent - 2 * taken) / (sent + 1))`` of new ones are refused here, spread evenly, not by
    chance; at most ``MOST`` of them, so that it is noticed soon when the API takes more again.
    Those refused here count as sent.

    Source: client-side throttling, "Handling Overload", Site Reliability Engineering, 2016.
    """

    SPAN_S: Final = 10.0
    SPANS: Final = 12
    MOST: Final = 0.95

    __slots__ = ("_debt", "_spans", "sent", "taken")

    def __init__(self) -> None:
        self.sent = 0
        self.taken = 0
        self._debt = 0.0
        self._spans: deque[tuple[int, list[int]]] = deque()

    def outcome(self, now: float, *, taken: bool) -> None:
        """Learn whether the API took a request, or refused it for its own reasons."""
        span = self._span(now)
        self.sent += 1
        span[0] += 1
        if taken:
            self.taken += 1
            span[1] += 1

    def refuses(self, now: float) -> bool:
        """Whether the next request stays here; one that does is counted as sent."""
        share = (self.sent - 2 * self.taken) / (self.sent + 1)
        self._debt += min(max(share, 0.0), self.MOST)
        if self._debt < 1.0:
            return False
        self._debt -= 1.0
        self.outcome(now, taken=False)
        return True

    def _span(self, now: float) -> list[int]:
        number = int(now / self.SPAN_S)
        spans = self._spans
        if not spans or spans[-1][0] != number:
            spans.append((number, [0, 0]))
        while spans[0][0] <= number - self.SPANS:
            _, (sent, taken) = spans.popleft()
            self.sent -= sent
            self.taken -= taken
        return spans[-1][1]
