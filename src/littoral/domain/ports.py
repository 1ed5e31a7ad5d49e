"""Ports: everything the product asks of the world, as Protocols.

Adapters implement them, twins in ``littoral.testing`` stand in for them, and one contract suite a
port runs on both. Time, chance, disk and network come in only this way.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

from littoral.domain.blob import StoredBlob
from littoral.domain.books import Inbox as Inbox  # noqa: PLC0414  every port is known from here
from littoral.domain.books import Ledger as Ledger  # noqa: PLC0414  every port is known from here
from littoral.domain.books import Outbox as Outbox  # noqa: PLC0414  likewise
from littoral.domain.clock import Chance as Chance  # noqa: PLC0414  likewise
from littoral.domain.clock import Clock as Clock  # noqa: PLC0414  likewise
from littoral.domain.clock import Entropy as Entropy  # noqa: PLC0414  likewise
from littoral.domain.endpoint import Endpoint, EngineSpec
from littoral.domain.failpoint import Failpoints as Failpoints  # noqa: PLC0414  likewise
from littoral.domain.ids import Digest, KeyId, NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.model import FileSpec, VersionSpec, VersionStatus
from littoral.domain.node import Event
from littoral.domain.project import Key
from littoral.domain.resource import Kind, Resource
from littoral.domain.session import Frame
from littoral.domain.switch import Streamed
from littoral.domain.units import Bytes


class Disk(Protocol):
    """Small files that must be whole or absent."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None where there is none."""
        ...

    def write(self, path: str, data: bytes, *, private: bool = True) -> None:
        """Replace the file atomically, synced before it returns; mode 0600 where private.

        Raises:
            StorageFull: The disk has no room; the old file stands.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove the file if it exists."""
        ...


class Channel(Protocol):
    """A reliable, bounded pipe of frames to one peer; in order, or in order of each lane."""

    @property
    def peer(self) -> NodeId | None:
        """Which node is at the other end, verified; None where it is this user, on this host."""
        ...

    def link(self) -> LinkFacts | None:
        """What is known of the way there; None where there is none, as on one host."""
        ...

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while the peer is slow. Raises ``ChannelClosed``."""
        ...

    async def receive(self) -> Frame:
        """The next frame. Raises ``ChannelClosed`` at the end or on a frame that cannot be read."""
        ...

    async def close(self) -> None:
        """End it; safe to call twice."""
        ...


class ChannelClosed(Exception):
    """The peer is gone."""


class Shed(ChannelClosed):
    """The listener has too much to do: come back at any time of the spread that it told."""


class Network(Protocol):
    """Where channels come from."""

    def dial(self, address: str) -> AbstractAsyncContextManager[Channel]:
        """Open a channel to a listener. Raises ``ChannelClosed`` when nobody listens."""
        ...

    def listen(
        self, address: str, handler: Callable[[Channel], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        """Serve each new channel with ``handler`` in its own task until the context ends."""
        ...


class Tunnel(Protocol):
    """One end of streams that carry the connections of something else than a gateway."""

    def heard(self, frame: Streamed) -> None:
        """A frame of one of its streams came."""
        ...

    async def run(self, send: Callable[[Streamed], object]) -> None:
        """Serve until cancelled; ``send`` takes the frames of its streams."""
        ...


class State(Protocol):
    """Control's resources, keys and facts; every write is synced when it returns."""

    def get(self, kind: Kind, name: str) -> Resource | None:
        """One resource."""
        ...

    def list(self, kind: Kind) -> Sequence[Resource]:
        """All of a kind, by name."""
        ...

    def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        """Create or replace; returns it with its new version.

        Raises:
            Conflict: ``expected`` is not the present version (0: must not exist).
        """
        ...

    def delete(self, kind: Kind, name: str) -> bool:
        """Delete one resource; False where there was none."""
        ...

    def revision(self) -> int:
        """A number that rises with every write here; it survives restarts."""
        ...

    def keys(self) -> Sequence[Key]:
        """All keys, oldest first."""
        ...

    def put_key(self, key: Key, secret: bytes | None = None) -> None:
        """Write a key; ``secret`` (sealed) is stored with a new one and kept when None."""
        ...

    def secret(self, key: KeyId) -> bytes | None:
        """The sealed secret that was stored with a key."""
        ...

    def value(self, name: str) -> bytes | None:
        """A named fact: peppers, ids, version statuses."""
        ...

    def put_value(self, name: str, value: bytes | None) -> None:
        """Write or (None) remove a named fact."""
        ...

    def put_values(self, values: Mapping[str, bytes | None]) -> None:
        """Write or (None) remove several named facts: all of them, or none."""
        ...

    def values(self, prefix: str) -> Mapping[str, bytes]:
        """All named facts whose name begins with ``prefix``."""
        ...


class Blobs(Protocol):
    """Content-addressed files."""

    def path(self, digest: Digest) -> str | None:
        """Local path of a blob that is present and whole, else None."""
        ...

    def writer(self) -> "BlobWriter":
        """Begin a new blob. Raises ``StorageFull`` when the disk is past its watermark."""
        ...

    def list(self) -> Sequence[Digest]:
        """All blobs present."""
        ...

    def stored(self) -> Sequence[StoredBlob]:
        """All blobs present, in order; none of them is read."""
        ...

    def remove(self, digest: Digest) -> bool:
        """Remove a blob; False where there was none."""
        ...

    def free(self) -> Bytes:
        """Bytes that may still be written."""
        ...

    def verify(self, digest: Digest) -> bool:
        """Read the whole blob and compare its digest."""
        ...


class BlobWriter(Protocol):
    """A blob under way: invisible until committed."""

    def write(self, data: bytes) -> None:
        """Append. Raises ``StorageFull``."""
        ...

    def view(self) -> AbstractContextManager[memoryview]:
        """Read what was written so far, without a copy in memory."""
        ...

    def commit(self, expected: Digest | None = None) -> Digest:
        """Sync, name by content, make visible. Raises ``Damaged`` where ``expected`` differs."""
        ...

    def abort(self) -> None:
        """Drop it; safe after commit."""
        ...


class Source(Protocol):
    """One way to obtain weights: a URL scheme."""

    def fetch(
        self, file: FileSpec, *, scratch: str, progress: Callable[[int, int | None], None]
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open one file as a stream of pieces; resumes what ``scratch`` holds.

        Raises:
            InvalidInput: The source is malformed.
            UpstreamFailed: It cannot be reached, or gave something else than was pinned.
        """
        ...


class Engine(Protocol):
    """A driver: how one kind of engine is checked and started."""

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        ...

    def launch(self, spec: EngineSpec) -> AbstractAsyncContextManager["Instance"]:
        """Start it and wait until it answers; leaving the context stops it for good.

        Raises:
            UpstreamFailed: It did not come up; the message ends its log.
        """
        ...


class Instance(Protocol):
    """One running engine."""

    @property
    def endpoint(self) -> Endpoint:
        """How the gateway reaches it."""
        ...

    @property
    def pid(self) -> int | None:
        """Its process, where it has one."""
        ...

    async def healthy(self) -> bool:
        """Whether it answers now."""
        ...

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        ...


class Registry(Protocol):
    """Drivers and sources by name; only the app knows their classes."""

    def engine(self, kind: str) -> Engine:
        """The driver of a kind.

        Raises:
            UnknownName: No such driver; the message lists the known ones.
            InvalidInput: It needs an extra that is not installed.
        """
        ...

    def source(self, scheme: str) -> Source:
        """The source of a scheme; raises as ``engine`` does."""
        ...


class Sink(Protocol):
    """Where events go."""

    def emit(self, event: Event) -> None:
        """Take one event; never blocks, never raises."""
        ...


class Obtainer(Protocol):
    """Makes model versions present: the long work behind ``models pull``."""

    def start(self, model: str, version: VersionSpec) -> None:
        """Begin or resume in the background; a version that is present or under way is left."""
        ...

    def cancel(self, model: str, version: str) -> None:
        """Stop it; what was fetched stays for a later start."""
        ...

    def forget(self, model: str, version: str) -> None:
        """Stop it and drop its status and what was fetched so far; blobs are left."""
        ...

    def statuses(self) -> Iterable[VersionStatus]:
        """Every version ever started, by model and version."""
        ...
