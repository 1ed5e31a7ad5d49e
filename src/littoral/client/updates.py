"""Updates: releases of Littoral itself, and taking nodes to them, through the admin API."""

from collections.abc import Sequence
from urllib.parse import quote

from littoral.client.admin import Admin
from littoral.domain.release import Release, UpdateAct, WheelFile
from littoral.domain.view import ReleaseRequest, UpdateActWish, UpdateView, UpdateWish, WheelUpload


class Updates:
    """Its operations; every method raises as those of ``Admin`` do.

    Args:
        admin: Who is asked.
    """

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def releases(self) -> list[Release]:
        """Versions of Littoral that nodes may be taken to."""
        return self._admin.call("GET", "/releases", dict[str, list[Release]])["items"]

    def upload(self, name: str, data: bytes) -> WheelFile:
        """Send a wheel."""
        body = WheelUpload(name=name, data=data)
        return self._admin.call("POST", "/wheels", WheelFile, body=body)

    def add(self, wheels: Sequence[WheelFile]) -> Release:
        """Make a release of wheels that were sent."""
        body = ReleaseRequest(wheels=tuple(wheels))
        return self._admin.call("POST", "/releases", Release, body=body)

    def remove(self, version: str) -> Release:
        """Forget a release."""
        return self._admin.call("DELETE", f"/releases/{quote(version, safe='')}", Release)

    def last(self) -> UpdateView | None:
        """The update under way, or the last one; None where there was none."""
        found = self._admin.call("GET", "/updates", dict[str, list[UpdateView]])["items"]
        return found[0] if found else None

    def start(self, wish: UpdateWish) -> UpdateView:
        """Begin to take nodes to a release."""
        return self._admin.call("POST", "/updates", UpdateView, body=wish)

    def act(self, act: UpdateAct) -> UpdateView:
        """Pause, resume or undo the update."""
        return self._admin.call("POST", "/updates/act", UpdateView, body=UpdateActWish(act=act))
