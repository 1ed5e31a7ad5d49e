"""Traffic: how a project's requests share what is served with those of others."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from littoral.domain.ids import ProjectId

Priority: TypeAlias = Literal["interactive", "default", "batch", "best-effort"]
"""Who goes first where requests wait, highest first."""
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficGrant:
    """A project's settings as a gateway needs them; ``ProjectSpec`` says what they mean."""

    project: ProjectId
    weight: float = 1.0
    priority: Priority = "default"
