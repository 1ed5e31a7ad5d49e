"""Shares: what each node may use of each limit."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.view import ShareView


class ShareApi:
    """Handlers of shares."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/shares",
                handler=self.list,
                policy=Needs("usage.read"),
                summary="What each node may use of each limit, and has used.",
                query={
                    "node": "Only this node, by its id.",
                    "limit": "Only this limit, such as project:team-a.",
                },
                gives=tuple[ShareView, ...],
            ),
        )

    async def list(self, call: Call) -> Sequence[ShareView]:
        """All shares, by limit and node."""
        node, limit = call.query.get("node"), call.query.get("limit")
        found = await self._desk.workers.state(self._desk.shares.views)
        return [each for each in found if node in {None, each.node} and limit in {None, each.limit}]
