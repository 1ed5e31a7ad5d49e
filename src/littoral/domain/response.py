"""StoredResponse: a response that is kept, with all that continuing or running it again needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from littoral.domain.errors import StorageFull
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.units import Micros

ResponseStatus: TypeAlias = Literal[
    "queued", "in_progress", "completed", "incomplete", "failed", "cancelled"
]
UNDER_WAY: frozenset[ResponseStatus] = frozenset({"queued", "in_progress"})
"""A response of another status has ended and changes no more."""
ROW = 256
"""Bytes that a response counts for in a store besides its texts."""
MAX_THREAD = 12 * 1024 * 1024
"""Most bytes of a response and all that it continues: they travel in one frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response of one project.

    ``status`` is the truth where ``body`` says another, and ``reason`` why it failed where the
    engine did not say so itself. ``previous`` is the response it continues, ``""`` for none.
    ``runs`` are the attempts that were begun and not handed back. All texts are JSON: ``input`` a
    list of items, ``body`` the response, ``asked`` what to run, empty once it has ended;
    ``events`` is a stream, as it was sent.
    """

    id: str
    project: ProjectId
    key: KeyId
    created_us: Micros
    expires_us: Micros
    status: ResponseStatus
    reason: str = ""
    background: bool = False
    streamed: bool = False
    previous: str = ""
    runs: int = 0
    input: bytes = b"[]"
    body: bytes = b""
    asked: bytes = b""
    events: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of its texts; ``ROW`` more count for it in the store."""
        return len(self.input) + len(self.body) + len(self.asked) + len(self.events)


def check_part(response: StoredResponse, held: int, *, most: int) -> None:
    """Say whether a project may keep one more.

    Args:
        response: The one more.
        held: Bytes that its project has in the store.
        most: Bytes that it may have.

    Raises:
        StorageFull: It has its part.
    """
    if held + response.size + ROW > most:
        raise StorageFull(
            f"project {response.project!r} stores {held} bytes of responses and may store {most}: "
            "delete some, or let them expire"
        )


class ResponseStore(Protocol):
    """A node's stored responses. What a call wrote is on disk when it returns.

    A response whose time is over is not there any more, whether or not it was swept. Every call
    may raise ``Unavailable`` after an I/O error.
    """

    async def put(self, response: StoredResponse, *, part: float = 1.0) -> None:
        """Keep a response; one of the same id and project is replaced.

        Args:
            response: What to keep.
            part: Of all room, what its project may have, from 0 to 1.

        Raises:
            StorageFull: There is no room, or its project has its part; nothing was written.
            Conflict: Another project has one of this id.
        """
        ...

    async def advance(self, response: StoredResponse) -> bool:
        """Replace a response that is still under way; False where it is not, or not there.

        Raises:
            StorageFull: There is no room; nothing was written.
        """
        ...

    async def get(self, project: ProjectId, response: str) -> StoredResponse | None:
        """The response, where the project has it."""
        ...

    async def thread(self, project: ProjectId, response: str) -> Sequence[StoredResponse]:
        """The response and those it continues, oldest first.

        Raises:
            UnknownName: One of them is not there; the message names it.
            TooLarge: Together they are over ``MAX_THREAD`` bytes.
        """
        ...

    async def delete(self, project: ProjectId, response: str) -> bool:
        """Drop it; False where it was not there."""
        ...

    async def under_way(self) -> Sequence[StoredResponse]:
        """All that have not ended, oldest first."""
        ...

    async def sweep(self) -> int:
        """Drop those whose time is over; returns how many."""
        ...
