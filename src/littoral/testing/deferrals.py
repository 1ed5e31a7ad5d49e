"""Deferrals in memory."""

from collections.abc import Sequence
from dataclasses import replace

from littoral.domain.deferral import AHEAD, DEFERRAL_ROW, Deferral, Holding, Room, check_held
from littoral.domain.errors import Conflict, StorageFull
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Clock
from littoral.domain.units import Bytes


class MemoryDeferrals:
    """Twin of ``DeferralStore``. ``full`` makes it accept nothing until a test clears it.

    Args:
        clock: What the time is.
    """

    def __init__(self, clock: Clock) -> None:
        self.full = False
        self._clock = clock
        self._kept: dict[str, Deferral] = {}
        self._count = 0

    async def accept(self, deferral: Deferral, *, room: Room) -> Deferral:
        """Keep one more; returns it with its number, or the one that has its idempotency key."""
        if self.full:
            raise StorageFull("no room for deferred requests")
        known = await self.known(deferral.project, deferral.idempotency)
        if deferral.idempotency and known is not None:
            if known.digest != deferral.digest:
                raise Conflict(
                    f"the idempotency key {deferral.idempotency!r} came with another body"
                )
            return known
        every = list(self._kept.values())
        own = [each for each in every if each.project == deferral.project]
        check_held(deferral, _held(every), _held(own), room=room)
        self._count += 1
        made = self._kept[deferral.id] = replace(deferral, number=self._count)
        return made

    async def known(self, project: ProjectId, idempotency: str) -> Deferral | None:
        """The deferral that came with an idempotency key, where there is one."""
        found = (
            e for e in self._kept.values() if e.project == project and e.idempotency == idempotency
        )
        return next(found, None)

    async def begin(self, name: str) -> Deferral | None:
        """Count a run of one that is ahead, and return it whole; None where it is not."""
        known = self._ahead(name)
        if known is None:
            return None
        self._kept[name] = replace(known, state="running", runs=known.runs + 1)
        return self._kept[name]

    async def hand_back(self, name: str, reason: str, *, counted: bool) -> bool:
        """Let one wait again; without ``counted`` its run does not count."""
        known = self._ahead(name)
        if known is None:
            return False
        runs = known.runs if counted else max(known.runs - 1, 0)
        self._kept[name] = replace(known, state="queued", reason=reason, runs=runs)
        return True

    async def end(self, deferral: Deferral) -> bool:
        """Write how one ended; False, and nothing written, where it had ended or is gone."""
        known = self._ahead(deferral.id)
        if known is None:
            return False
        self._kept[deferral.id] = replace(
            known,
            state=deferral.state,
            reason=deferral.reason,
            ended_us=deferral.ended_us,
            keep_us=deferral.keep_us,
            media=deferral.media,
            body=b"",
            answer=deferral.answer,
            usage=deferral.usage,
        )
        return True

    async def booked(self, name: str) -> None:
        """Take note that its usage is in the outbox."""
        if name in self._kept:
            self._kept[name] = replace(self._kept[name], booked=True)

    async def get(self, project: ProjectId, name: str) -> Deferral | None:
        """One deferral, where the project has it."""
        found = self._kept.get(name)
        return found if found is not None and found.project == project else None

    async def page(self, project: ProjectId, *, before: int, limit: int) -> Sequence[Deferral]:
        """Deferrals of a project of lower numbers than ``before`` (0: of all), the last first."""
        found = [
            _light(each)
            for each in self._kept.values()
            if each.project == project and (not before or each.number < before)
        ]
        return sorted(found, key=lambda each: -each.number)[:limit]

    async def ahead(self) -> Sequence[Deferral]:
        """All that have not ended, without bodies, the first one first."""
        return [_light(each) for each in self._kept.values() if each.state in AHEAD]

    async def unbooked(self) -> Sequence[Deferral]:
        """All whose usage is not in the outbox yet, without answers."""
        return [_light(e) for e in self._kept.values() if e.usage is not None and not e.booked]

    async def delete(self, project: ProjectId, name: str) -> bool:
        """Drop one; False where it was not there."""
        if await self.get(project, name) is None:
            return False
        del self._kept[name]
        return True

    async def projects(self) -> Sequence[ProjectId]:
        """Whose deferrals are kept."""
        return list(dict.fromkeys(each.project for each in self._kept.values()))

    async def purge(self, project: ProjectId) -> int:
        """Drop everything of a project; returns how many."""
        gone = [name for name, each in self._kept.items() if each.project == project]
        for name in gone:
            del self._kept[name]
        return len(gone)

    async def sweep(self) -> int:
        """Drop those that have ended and whose time is over; returns how many."""
        now = self._clock.wall()
        over = [
            name
            for name, each in self._kept.items()
            if each.keep_us <= now and each.state not in AHEAD and not _is_unbooked(each)
        ]
        for name in over:
            del self._kept[name]
        return len(over)

    def _ahead(self, name: str) -> Deferral | None:
        known = self._kept.get(name)
        return known if known is not None and known.state in AHEAD else None


def _light(deferral: Deferral) -> Deferral:
    return replace(deferral, body=b"", answer=b"")


def _is_unbooked(deferral: Deferral) -> bool:
    return deferral.usage is not None and not deferral.booked


def _held(deferrals: Sequence[Deferral]) -> Holding:
    count = sum(each.state in AHEAD for each in deferrals)
    return Holding(count=count, size=Bytes(sum(each.size + DEFERRAL_ROW for each in deferrals)))
