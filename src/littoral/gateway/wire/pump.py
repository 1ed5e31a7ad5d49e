"""Pump: calls those who wait when a slot comes free."""

import asyncio
from typing import Final

from littoral.gateway.lane import Ticket
from littoral.gateway.table import Source
from littoral.gateway.traffic import Traffic, Waiter

PASSED_OVER: Final = 8
"""Requests that find no place for their own needs before those behind them wait with them."""


class Pump:
    """Moves requests from the lines to their places.

    Args:
        loop: The event loop.
        source: Whose lines they are.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source) -> None:
        self._loop = loop
        self._source = source

    def wake(self, traffic: Traffic, now: float) -> None:
        """A slot came free: look at the line at the end of this turn of the loop."""
        if not traffic.waking:
            traffic.waking = True
            self._loop.call_soon(self._run, traffic, now)

    def tick(self, now: float) -> None:
        """Look at every line where somebody waits; about ten times a second."""
        for traffic in tuple(self._source.traffic.values()):
            line = traffic.line
            if traffic.ladders:
                traffic.look(now)
            if traffic.queue.count or line.overloaded:
                _send_away(traffic, line.tick(now))
                self._run(traffic, now)

    def _run(self, traffic: Traffic, now: float) -> None:
        traffic.waking = False
        queue, passed = traffic.queue, list[Ticket[Waiter]]()
        while queue.count and len(passed) < PASSED_OVER:
            ticket, shed = traffic.line.next(now)
            _send_away(traffic, shed)
            if ticket is not None and not ticket.item.resume(now):
                passed.append(ticket)
        for ticket in reversed(passed):
            queue.put_back(ticket)


def _send_away(traffic: Traffic, shed: list[Ticket[Waiter]]) -> None:
    for ticket in shed:
        ticket.item.shed(traffic.queue.wait_s(ticket.claim, traffic.slots))
