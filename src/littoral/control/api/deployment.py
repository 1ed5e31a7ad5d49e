"""Deployments: what was declared beside what runs."""

from collections.abc import Sequence
from functools import partial

from littoral.control.api.model import scene
from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.control.standing import deployment_view
from littoral.domain.view import DeploymentView


def deployment_views(desk: Desk) -> Sequence[DeploymentView]:
    """Every deployment by name; touches the state."""
    seen = scene(desk)
    views = (deployment_view(item, seen) for item in desk.resources.list("Deployment"))
    return [view for view in views if view is not None]


class DeploymentApi:
    """Handlers of deployments; they are declared through ``apply``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/deployments",
                handler=self.list,
                policy=Needs("resource.read"),
                summary="All deployments with their endpoints, and why one is not ready.",
                gives=tuple[DeploymentView, ...],
            ),
        )

    async def list(self, call: Call) -> Sequence[DeploymentView]:
        """All deployments by name."""
        del call
        return await self._desk.workers.state(partial(deployment_views, self._desk))
