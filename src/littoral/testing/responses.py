"""Stored responses in memory."""

from collections.abc import Sequence

from littoral.domain.errors import Conflict, StorageFull, TooLarge, UnknownName
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Clock
from littoral.domain.response import MAX_THREAD, ROW, UNDER_WAY, StoredResponse, check_part
from littoral.domain.units import Bytes

MOST = Bytes(64 * 1024 * 1024)


class MemoryResponses:
    """Twin of ``ResponseStore``. ``full`` makes writes fail until a test clears it.

    Args:
        clock: What the time is.
        most: What a project's part is a part of.
    """

    def __init__(self, clock: Clock, *, most: Bytes = MOST) -> None:
        self.full = False
        self._most = most
        self._clock = clock
        self._kept: dict[str, StoredResponse] = {}

    async def put(self, response: StoredResponse, *, part: float = 1.0) -> None:
        """Keep a response; one of the same id and project is replaced."""
        self._check_room()
        known = self._kept.get(response.id)
        if known is not None and known.project != response.project:
            raise Conflict(f"response {response.id!r} is another project's")
        if part < 1.0:
            own = [each for each in self._kept.values() if each.project == response.project]
            held = sum(each.size + ROW for each in own if each.id != response.id)
            check_part(response, held, most=int(self._most * part))
        self._kept[response.id] = response

    async def advance(self, response: StoredResponse) -> bool:
        """Replace a response that is still under way; False where it is not, or not there."""
        self._check_room()
        known = self._kept.get(response.id)
        if known is None or known.project != response.project or known.status not in UNDER_WAY:
            return False
        self._kept[response.id] = response
        return True

    async def get(self, project: ProjectId, response: str) -> StoredResponse | None:
        """The response, where the project has it."""
        found = self._kept.get(response)
        if found is None or found.project != project or found.expires_us <= self._clock.wall():
            return None
        return found

    async def thread(self, project: ProjectId, response: str) -> Sequence[StoredResponse]:
        """The response and those it continues, oldest first."""
        found: list[StoredResponse] = []
        name = response
        while name:
            each = await self.get(project, name)
            if each is None:
                raise UnknownName(f"no stored response {name!r}; it may have expired")
            found.append(each)
            if sum(one.size for one in found) > MAX_THREAD:
                raise TooLarge(f"the conversation is over {MAX_THREAD} bytes")
            name = each.previous
        return found[::-1]

    async def delete(self, project: ProjectId, response: str) -> bool:
        """Drop it; False where it was not there."""
        known = self._kept.get(response)
        if known is None or known.project != project:
            return False
        del self._kept[response]
        return True

    async def under_way(self) -> Sequence[StoredResponse]:
        """All that have not ended, oldest first."""
        now = self._clock.wall()
        found = [
            each
            for each in self._kept.values()
            if each.status in UNDER_WAY and each.expires_us > now
        ]
        return sorted(found, key=lambda each: (each.created_us, each.id))

    async def sweep(self) -> int:
        """Drop those whose time is over; returns how many."""
        now = self._clock.wall()
        over = [name for name, each in self._kept.items() if each.expires_us <= now]
        for name in over:
            del self._kept[name]
        return len(over)

    def _check_room(self) -> None:
        if self.full:
            raise StorageFull("no room for stored responses")
