"""Rollouts: how far changed deployments are, and what operators do about it."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.view import RolloutView, RolloutWish, Scores


class RolloutApi:
    """Handlers of rollouts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/rollouts",
                handler=self.list,
                policy=Needs("resource.read"),
                summary="How far changed deployments are on their way to everybody.",
                gives=tuple[RolloutView, ...],
            ),
            Route(
                method="POST",
                path="/api/v1/rollouts/{name}",
                handler=self.act,
                policy=Needs("resource.write"),
                summary="Pause, resume, undo or promote a rollout.",
                takes=RolloutWish,
                gives=RolloutView,
            ),
            Route(
                method="POST",
                path="/api/v1/rollouts/{name}/scores",
                handler=self.score,
                policy=Needs("resource.write"),
                summary="Give scores of the same golden items for both versions.",
                takes=Scores,
                gives=RolloutView,
            ),
        )

    async def list(self, call: Call) -> Sequence[RolloutView]:
        """All rollouts, by deployment."""
        del call
        return await self._desk.rollouts.views()

    async def act(self, call: Call) -> RolloutView:
        """Do what an operator wants."""
        return await self._desk.rollouts.act(call.path["name"], call.read(RolloutWish).act)

    async def score(self, call: Call) -> RolloutView:
        """Take scores."""
        scores = call.read(Scores)
        return await self._desk.rollouts.score(call.path["name"], scores.old, scores.new)
