"""Deltas: what a new version would cost on the way to a node that has its parent."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.view import DeltaRequest, DeltaView


class DeltaApi:
    """The handler of deltas."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="POST",
                path="/api/v1/deltas",
                handler=self.make,
                policy=Needs("model.write"),
                summary="Make the delta between two versions, and say what each way costs.",
                takes=DeltaRequest,
                gives=DeltaView,
            ),
        )

    async def make(self, call: Call) -> DeltaView:
        """The delta between two versions."""
        request = call.read(DeltaRequest)
        return await self._desk.deltas.of(request.parent, request.child)
