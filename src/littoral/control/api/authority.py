"""Who may join: invitations; and the roots that nodes trust."""

from collections.abc import Sequence
from functools import partial

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.enrolment import Invitation, Invited, RootView, Rotation


class AuthorityApi:
    """Handlers of invitations and roots."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="POST",
                path="/api/v1/invitations",
                handler=self.invite,
                policy=Needs("node.join"),
                summary="Make a join token; its text is in this answer only.",
                takes=Invitation,
                gives=Invited,
                status=201,
            ),
            Route(
                method="GET",
                path="/api/v1/ca",
                handler=self.roots,
                policy=Needs("ca.read"),
                summary="The root certificates that nodes trust.",
                gives=tuple[RootView, ...],
            ),
            Route(
                method="POST",
                path="/api/v1/ca/rotate",
                handler=self.rotate,
                policy=Needs("ca.write"),
                summary="Announce a new root, which signs after the overlap.",
                takes=Rotation,
                gives=tuple[RootView, ...],
            ),
        )

    async def invite(self, call: Call) -> Invited:
        """Make a join token."""
        wanted = call.read(Invitation)
        return await self._desk.workers.state(partial(self._desk.enrolments.invite, wanted))

    async def roots(self, call: Call) -> Sequence[RootView]:
        """The roots."""
        del call
        return await self._desk.workers.state(self._desk.authority.show)

    async def rotate(self, call: Call) -> Sequence[RootView]:
        """Announce a new root."""
        days = call.read(Rotation).overlap_days
        return await self._desk.workers.state(partial(self._desk.enrolments.rotate, days))
