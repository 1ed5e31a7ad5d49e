"""Quality: what audits say of each policy."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.audit import QualityView


class QualityApi:
    """Handlers of audits."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/quality",
                handler=self.list,
                policy=Needs("usage.read"),
                summary="What audits say of each policy, tag by tag.",
                gives=tuple[QualityView, ...],
            ),
        )

    async def list(self, _: Call) -> Sequence[QualityView]:
        """All audited policies, by name."""
        return await self._desk.workers.state(self._desk.quality.views)
