"""Share: how much of what a node keeps and runs one project may have, by the projects' weights."""

from collections.abc import Iterable, Mapping
from typing import Final

from littoral.domain.ids import ProjectId
from littoral.domain.snapshot import Snapshot

LEAST: Final = 0.25
"""Part that each project may have, however many there are: few use theirs at one time."""


def weights_of(snapshot: Snapshot | None) -> Mapping[ProjectId, float]:
    """The weight of each project that has a key."""
    if snapshot is None:
        return {}
    given = {each.project: each.weight for each in snapshot.traffic}
    return {key.project: given.get(key.project, 1.0) for key in snapshot.keys}


def part_of(project: ProjectId, weights: Mapping[ProjectId, float]) -> float:
    """The part of all room that a project may have: its weight's, or ``LEAST``; from 0 to 1."""
    others = sum(weight for each, weight in weights.items() if each != project)
    own = weights.get(project, 1.0)
    return max(LEAST, own / (own + others))


def next_project(
    waiting: Iterable[ProjectId],
    *,
    running: Mapping[ProjectId, int],
    weights: Mapping[ProjectId, float],
    turns: Mapping[ProjectId, int],
) -> ProjectId | None:
    """Say whose turn it is: who would run least for its weight; of equals, who waited longest.

    Args:
        waiting: Projects that have something to run.
        running: How many each has running; those without may be left out.
        weights: From ``weights_of``; 1 where a project is not there.
        turns: A rising number of each project's last turn; those that had none may be left out.

    Returns:
        One of them; None where nobody waits.
    """

    def standing(project: ProjectId) -> tuple[float, int]:
        would = (running.get(project, 0) + 1) / weights.get(project, 1.0)
        return would, turns.get(project, -1)

    return min(waiting, key=standing, default=None)
