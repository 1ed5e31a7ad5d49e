"""Ahead: what waits at a node, in its order, of each project for each model."""

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from littoral.domain.deferral import Deferral
from littoral.domain.ids import ProjectId
from littoral.domain.units import Seconds

LONGEST_PAUSE = Seconds(60.0)
_Lane: TypeAlias = tuple[ProjectId, str]


@dataclass(slots=True)
class Lane:
    """What waits of one project for one model, and from when on its first may be begun.

    ``streak`` counts those handed back since one went well.
    """

    deferrals: list[Deferral] = field(default_factory=list[Deferral])
    due: float = 0.0
    streak: int = 0


class Ahead:
    """All lanes. Times are monotonic seconds unless they say otherwise."""

    def __init__(self) -> None:
        self._lanes: dict[_Lane, Lane] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return any(lane.deferrals for lane in self._lanes.values())

    def add(self, deferral: Deferral) -> None:
        """Let one wait, where its number puts it."""
        insort(self._lane(deferral).deferrals, deferral, key=lambda each: each.number)

    def remove(self, deferral: Deferral) -> None:
        """Let one wait no longer, if it did."""
        lane = self._lane(deferral)
        lane.deferrals = [each for each in lane.deferrals if each.id != deferral.id]

    def purge(self, project: ProjectId) -> None:
        """Let nothing of a project wait."""
        for name in [name for name in self._lanes if name[0] == project]:
            del self._lanes[name]

    def those(self, which: Callable[[Deferral], bool]) -> list[Deferral]:
        """Those of all that wait for which something is true."""
        return [each for lane in self._lanes.values() for each in lane.deferrals if which(each)]

    def due(self, now: float, serves: Callable[[str], bool]) -> dict[ProjectId, Lane]:
        """Of each project the lane whose first came first, of those that are due and served.

        Lanes in which nothing waits and that need not be remembered are forgotten here.
        """
        kept = {name: lane for name, lane in self._lanes.items() if lane.deferrals or lane.streak}
        self._lanes = kept
        found = dict[ProjectId, Lane]()
        for (project, model), lane in kept.items():
            if not lane.deferrals or lane.due > now or not serves(model):
                continue
            known = found.get(project)
            if known is None or lane.deferrals[0].number < known.deferrals[0].number:
                found[project] = lane
        return found

    def left(self, now: float, wall_us: int) -> float | None:
        """Seconds until a pause or the time of something that waits is over; None: neither is.

        A pause that is over says nothing: what waits then waits for an engine.
        """
        lanes = [lane for lane in self._lanes.values() if lane.deferrals]
        pauses = [lane.due - now for lane in lanes if lane.due > now]
        times = [(e.expires_us - wall_us) / 1e6 for lane in lanes for e in lane.deferrals]
        return min((*pauses, *times), default=None)

    def pause(self, deferral: Deferral, now: float, again_s: Seconds) -> None:
        """Begin nothing of its lane for a while, longer each time in a row."""
        lane = self._lane(deferral)
        lane.streak += 1
        lane.due = now + min(again_s * (1 << min(lane.streak - 1, 10)), LONGEST_PAUSE)

    def ease(self, deferral: Deferral) -> None:
        """One of its lane went well."""
        self._lane(deferral).streak = 0

    def _lane(self, deferral: Deferral) -> Lane:
        return self._lanes.setdefault((deferral.project, deferral.model), Lane())
