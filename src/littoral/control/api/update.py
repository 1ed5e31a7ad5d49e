"""Releases of Littoral itself, and taking nodes to them."""

from collections.abc import Sequence

from littoral.control.desk import Desk
from littoral.control.route import Call, Needs, Route
from littoral.domain.release import Release, WheelFile
from littoral.domain.view import ReleaseRequest, UpdateActWish, UpdateView, UpdateWish, WheelUpload

MOST_UPLOAD = 60 * 1024 * 1024
"""Bytes of a request that brings a wheel, which is a third longer as text."""


class UpdateApi:
    """Handlers of releases and updates."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (*self._releases(), *self._updates())

    def _releases(self) -> Sequence[Route]:
        return (
            Route(
                method="GET",
                path="/api/v1/releases",
                handler=self.list,
                policy=Needs("node.read"),
                summary="Versions of Littoral that nodes may be taken to.",
                gives=tuple[Release, ...],
            ),
            Route(
                method="POST",
                path="/api/v1/wheels",
                handler=self.upload,
                policy=Needs("release.write"),
                summary="Send one wheel (base64), to be part of a release.",
                takes=WheelUpload,
                gives=WheelFile,
                most_body=MOST_UPLOAD,
            ),
            Route(
                method="POST",
                path="/api/v1/releases",
                handler=self.add,
                policy=Needs("release.write"),
                summary="Make a release of wheels that were sent.",
                takes=ReleaseRequest,
                gives=Release,
            ),
            Route(
                method="DELETE",
                path="/api/v1/releases/{version}",
                handler=self.remove,
                policy=Needs("release.write"),
                summary="Forget a release.",
                gives=Release,
            ),
        )

    def _updates(self) -> Sequence[Route]:
        return (
            Route(
                method="GET",
                path="/api/v1/updates",
                handler=self.views,
                policy=Needs("node.read"),
                summary="The update under way, or the last one, node by node.",
                gives=tuple[UpdateView, ...],
            ),
            Route(
                method="POST",
                path="/api/v1/updates",
                handler=self.start,
                policy=Needs("release.write"),
                summary="Begin to take nodes to a release.",
                takes=UpdateWish,
                gives=UpdateView,
            ),
            Route(
                method="POST",
                path="/api/v1/updates/act",
                handler=self.act,
                policy=Needs("release.write"),
                summary="Pause, resume or undo the update.",
                takes=UpdateActWish,
                gives=UpdateView,
            ),
        )

    async def list(self, call: Call) -> Sequence[Release]:
        """All releases."""
        del call
        return self._desk.releases.all()

    async def upload(self, call: Call) -> WheelFile:
        """Keep a wheel."""
        wheel = call.read(WheelUpload)
        return await self._desk.releases.take(wheel.name, wheel.data)

    async def add(self, call: Call) -> Release:
        """Make a release."""
        return await self._desk.releases.add(call.read(ReleaseRequest).wheels)

    async def remove(self, call: Call) -> Release:
        """Forget a release."""
        used = self._desk.updates.under_way
        return await self._desk.releases.remove(call.path["version"], used=used)

    async def views(self, call: Call) -> Sequence[UpdateView]:
        """The update."""
        del call
        return self._desk.updates.views()

    async def start(self, call: Call) -> UpdateView:
        """Begin one."""
        return await self._desk.updates.start(call.read(UpdateWish))

    async def act(self, call: Call) -> UpdateView:
        """Do what an operator wants."""
        return await self._desk.updates.act(call.read(UpdateActWish).act)
