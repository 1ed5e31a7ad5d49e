"""Deferral: a request that is kept at a node until a place can serve it, and then its answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from littoral.domain.errors import LimitReached, StorageFull
from littoral.domain.ids import KeyId, ProjectId, RequestId
from littoral.domain.units import Bytes, Micros
from littoral.domain.usage import UsageRecord

DeferralState: TypeAlias = Literal[
    "queued", "running", "completed", "failed", "cancelled", "expired"
]
AHEAD: Final[frozenset[DeferralState]] = frozenset({"queued", "running"})
"""A deferral of another state has ended and changes no more."""
PREFIX: Final = "dfr_"
DEFERRAL_ROW: Final = 512
"""Bytes that a deferral counts for in a store besides its body and its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deferral:
    """One request of one project, and what became of it.

    ``number`` is its place in the node's order, in which what waits is begun. It has until
    ``expires_us`` for that; once it has ended it is kept until ``keep_us``. ``reason`` is why it
    waits, or why it has no answer. ``idempotency`` is the caller's key for that and ``digest`` what
    its body hashes to. ``runs`` are the attempts that were begun and not handed back. ``body`` is
    empty once it has ended, ``media`` what kind of text ``answer`` is. ``usage`` is what the run
    that made the answer used, with the answer in one write; ``booked`` says that it is in the
    outbox, too.
    """

    id: str
    project: ProjectId
    key: KeyId
    path: str
    model: str
    accepted_us: Micros
    expires_us: Micros
    keep_us: Micros
    level: int | None = None
    idempotency: str = ""
    digest: str = ""
    number: int = 0
    state: DeferralState = "queued"
    reason: str = ""
    runs: int = 0
    ended_us: Micros | None = None
    media: str = ""
    body: bytes = b""
    answer: bytes = b""
    usage: UsageRecord | None = None
    booked: bool = False

    @property
    def size(self) -> int:
        """Bytes of its body and its answer; ``DEFERRAL_ROW`` more count for it in the store."""
        return len(self.body) + len(self.answer)

    @property
    def request(self) -> RequestId:
        """The id under which it is booked, whenever and however often it is begun."""
        return RequestId("req_" + self.id.removeprefix(PREFIX))


def deferral_id(request: str) -> str:
    """The id of the deferral that a request becomes."""
    return PREFIX + request.removeprefix("req_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How much of the deferrals' room somebody has, or may have."""

    count: int
    size: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much room a node and one project have for deferrals.

    ``count`` bounds those that have not ended, ``size`` the bytes of all that are kept.
    """

    node: Holding = field(default=Holding(count=10_000, size=Bytes(512 * 1024 * 1024)))
    part: float = 1.0


def check_held(deferral: Deferral, node: Holding, project: Holding, *, room: Room) -> None:
    """Say whether one more may be kept.

    Args:
        deferral: The one more.
        node: What all projects have.
        project: What its project has.
        room: What they may have.

    Raises:
        LimitReached: So many wait already.
        StorageFull: So many bytes are kept already.
    """
    own = Holding(
        count=max(1, int(room.node.count * room.part)),
        size=Bytes(int(room.node.size * room.part)),
    )
    whose = f"project {deferral.project!r}"
    for who, held, most in (("this node", node, room.node), (whose, project, own)):
        if held.count >= most.count:
            raise LimitReached(
                f"{who} has {held.count} deferred requests that wait and may have {most.count}: "
                "wait until some have run, or cancel some",
                retry_after_s=60.0,
            )
        if held.size + deferral.size + DEFERRAL_ROW > most.size:
            raise StorageFull(
                f"{who} keeps {held.size} bytes of deferred requests and answers and may keep "
                f"{most.size}: delete some, or let their time pass"
            )


class DeferralStore(Protocol):
    """A node's deferrals. What a call wrote is on disk when it returns.

    Every call may raise ``Unavailable`` after an I/O error.
    """

    async def accept(self, deferral: Deferral, *, room: Room) -> Deferral:
        """Keep one more; returns it with its number, or the one that has its idempotency key.

        Raises:
            LimitReached: So many wait already.
            StorageFull: So many bytes are kept, or the disk is nearly full; nothing was written.
            Conflict: The idempotency key came with another body before.
        """
        ...

    async def known(self, project: ProjectId, idempotency: str) -> Deferral | None:
        """The deferral that came with an idempotency key, where there is one."""
        ...

    async def begin(self, name: str) -> Deferral | None:
        """Count a run of one that is ahead, and return it whole; None where it is not."""
        ...

    async def hand_back(self, name: str, reason: str, *, counted: bool) -> bool:
        """Let one wait again; without ``counted`` its run does not count.

        Returns:
            Whether it was still ahead.
        """
        ...

    async def end(self, deferral: Deferral) -> bool:
        """Write how one ended; False, and nothing written, where it had ended or is gone."""
        ...

    async def booked(self, name: str) -> None:
        """Take note that its usage is in the outbox."""
        ...

    async def get(self, project: ProjectId, name: str) -> Deferral | None:
        """One deferral, where the project has it."""
        ...

    async def page(self, project: ProjectId, *, before: int, limit: int) -> Sequence[Deferral]:
        """Deferrals of a project of lower numbers than ``before`` (0: of all), the last one first.

        They come without bodies and answers.
        """
        ...

    async def ahead(self) -> Sequence[Deferral]:
        """All that have not ended, without bodies, the first one first."""
        ...

    async def unbooked(self) -> Sequence[Deferral]:
        """All whose usage is not in the outbox yet, without answers."""
        ...

    async def delete(self, project: ProjectId, name: str) -> bool:
        """Drop one; False where it was not there."""
        ...

    async def projects(self) -> Sequence[ProjectId]:
        """Whose deferrals are kept."""
        ...

    async def purge(self, project: ProjectId) -> int:
        """Drop everything of a project; returns how many."""
        ...

    async def sweep(self) -> int:
        """Drop those that have ended and whose time is over; returns how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralView:
    """A deferred request as its client sees it; times are UTC seconds.

    ``reason`` is why it waits, or why it has no answer; ``result`` the path of the answer.
    """

    id: str
    status: DeferralState
    reason: str | None
    path: str
    model: str
    request_id: RequestId
    attempts: int
    created_at: int
    expires_at: int
    ended_at: int | None
    kept_until: int
    result: str | None
    object: Literal["deferred"] = "deferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralPage:
    """Deferred requests, the last one first; ``next`` is where the following page begins."""

    data: tuple[DeferralView, ...]
    has_more: bool
    next: int | None
    object: Literal["list"] = "list"
