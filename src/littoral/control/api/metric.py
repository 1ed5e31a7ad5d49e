"""What nodes measured of themselves."""

from collections.abc import Sequence
from functools import partial

from littoral.control.api.fleet import limit_of
from littoral.control.api.usage import moment_of
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.outbox import Rollup

MOST = 1500
"""Most measurements of one answer: a day of minutes, and some."""
FAR_US = 10**17
"""After every moment that is meant."""


class MetricApi:
    """Handlers of measurements."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/nodes/{id}/metrics",
                handler=self.metrics,
                policy=Needs("node.read"),
                summary="What a node measured of itself, by the minute, oldest first.",
                query={
                    "since": "From this time: microseconds of UTC, or a date or time of ISO 8601.",
                    "until": "Before this time, likewise.",
                    "limit": f"How many of the last, 1 to {MOST}.",
                },
                gives=tuple[Rollup, ...],
            ),
        )

    async def metrics(self, call: Call) -> Sequence[Rollup]:
        """A node's measurements in a range of time."""
        desk = self._desk
        node = desk.roster.find(call.path["id"])
        until = moment_of(call, "until")
        wanted = partial(
            desk.events.rollups,
            node.id,
            limit=limit_of(call, usual=MOST, most=MOST),
            since_us=moment_of(call, "since") or 0,
            until_us=FAR_US if until is None else until,
        )
        return await desk.workers.ledger(wanted)
