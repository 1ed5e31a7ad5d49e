"""The store of blobs: what is in it that nothing refers to, and removing that."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.blob import StoreView


class StoreApi:
    """Handlers of the store."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/blobs",
                handler=self.look,
                policy=Needs("resource.read"),
                summary="What control's store holds, and what of it nothing refers to.",
                gives=StoreView,
            ),
            Route(
                method="POST",
                path="/api/v1/blobs/prune",
                handler=self.prune,
                policy=Needs("model.write"),
                summary="Remove what nothing has referred to for a day.",
                gives=StoreView,
            ),
        )

    async def look(self, _call: Call) -> StoreView:
        """What is unused."""
        return await self._desk.sweep.view()

    async def prune(self, _call: Call) -> StoreView:
        """Remove what has been unused for so long that it may go."""
        return await self._desk.sweep.look()
