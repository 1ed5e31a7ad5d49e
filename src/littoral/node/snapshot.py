"""The snapshot a node holds: signed, on disk before it counts, and kept when control is gone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from littoral.domain.errors import Damaged, LittoralError, StorageFull
from littoral.domain.ids import KeyId, NodeId
from littoral.domain.ports import Clock, Failpoints
from littoral.domain.session import Applied, Frame, PartPiece, PartsWanted
from littoral.domain.snapshot import Anchors, Manifest, Snapshot
from littoral.domain.units import Seconds
from littoral.node.incoming import Incoming
from littoral.node.slot import SLOTS, SlotName, Slots, other
from littoral.trust import manifest as travelling

TRIAL = Seconds(60.0)
NAMED = 5
"""Most things left out that one sentence names."""
DEATHS = 3
"""So many deaths of a gateway in the first minute of a snapshot bring the one before it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """A snapshot that counts, where it lies, and its parts as they came."""

    slot: SlotName
    manifest: Manifest
    snapshot: Snapshot
    parts: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotParts:
    """What holding snapshots needs.

    ``anchors`` says whom to trust before any snapshot was taken, and is None where this node
    belongs to no cluster yet; ``unpack`` decodes; ``swapped`` is called with each snapshot that
    begins to count.
    """

    node: NodeId
    anchors: Callable[[], Anchors | None]
    slots: Slots
    unpack: Callable[[bytes], Frame]
    failpoints: Failpoints
    clock: Clock
    swapped: Callable[[Snapshot], None]


@dataclass(slots=True)
class _Trial:
    """A snapshot that was applied a moment ago, and how often the gateway died since."""

    began: Seconds
    deaths: int = 0


STALLED = "its parts did not come"


class HeldSnapshot:
    """The node's desired state.

    Args:
        parts: The world.
    """

    def __init__(self, parts: SnapshotParts) -> None:
        self._parts = parts
        self._held: _Held | None = None
        self._incoming: Incoming | None = None
        self._trial: _Trial | None = None
        self._revoked: frozenset[KeyId] = frozenset()

    @property
    def number(self) -> tuple[int, int]:
        """(epoch, version) of what is held; (0, 0) without one."""
        return (0, 0) if self._held is None else self._held.manifest.number

    @property
    def snapshot(self) -> Snapshot | None:
        """What is held."""
        return None if self._held is None else self._held.snapshot

    def load(self) -> tuple[str, ...]:
        """Begin with the newer of the two that are on disk; say what is wrong with either."""
        self._parts.slots.forget_old()
        self._revoked = frozenset(self._parts.slots.revoked())
        complaints: list[str] = []
        for name in SLOTS:
            try:
                found = self._read(name)
            except Damaged as error:
                complaints.append(f"slot {name}: {error.message}")
                continue
            if found is not None and found.manifest.number > self.number:
                self._held = found
        if self._held is not None:
            self._parts.swapped(self._held.snapshot)
        return tuple(complaints)

    def offer(self, token: bytes) -> Applied | PartsWanted:
        """Look at an offered manifest: refuse it, ask for what is missing of it, or take it."""
        try:
            manifest = travelling.read(token, self._signers(), unpack=self._parts.unpack)
        except Damaged as error:
            return Applied(epoch=0, version=0, ok=False, reason=error.message)
        reason = self._refusal(manifest)
        if reason or manifest.number == self.number:
            return _answer(manifest, reason, None if reason else self.snapshot)
        held = dict(self._held.parts) if self._held else {}
        if self._incoming is not None:
            held |= self._incoming.parts
        self._incoming = Incoming(token, manifest, held)
        return self._go_on(self._incoming)

    def piece(self, piece: PartPiece) -> Applied | None:
        """Take bytes of a part; the answer comes with the last of them."""
        incoming = self._incoming
        if incoming is None:
            return None
        try:
            if not incoming.take(piece):
                return None
        except Damaged as error:
            return _answer(incoming.manifest, error.message)
        self._parts.failpoints.hit("snapshot.part")
        done = self._go_on(incoming)
        return done if isinstance(done, Applied) else None

    @property
    def gathers(self) -> bool:
        """Whether parts of an offered snapshot are missing."""
        return self._incoming is not None

    def stalled(self) -> Applied | None:
        """Nothing came for long: say so, that control offers it again; what comes still counts."""
        incoming = self._incoming
        return None if incoming is None else _answer(incoming.manifest, STALLED)

    def revoke(self, keys: Iterable[KeyId]) -> None:
        """Know keys as revoked at once, and in whatever snapshot is served later.

        They are in memory before they are on disk: a full disk must not keep a key alive.
        """
        self._revoked = frozenset({*self._revoked, *keys})
        if self._held is not None:
            self._held = replace(self._held, snapshot=self._marked(self._held.snapshot))
            self._parts.swapped(self._held.snapshot)
        with suppress(StorageFull):
            self._parts.slots.put_revoked(keys)
        self._parts.failpoints.hit("revoke.synced")

    def _marked(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot in which revoked keys are."""
        if self._revoked.isdisjoint(grant.id for grant in snapshot.keys):
            return snapshot
        keys = tuple(
            replace(grant, revoked=True) if grant.id in self._revoked else grant
            for grant in snapshot.keys
        )
        return replace(snapshot, keys=keys)

    def died(self) -> str:
        """A gateway died; say why the other slot is served now, or nothing where it is not.

        A snapshot under which gateways die again and again is on trial for its first minute.
        """
        trial = self._trial
        if trial is None or self._held is None or self._parts.clock.now() - trial.began > TRIAL:
            return ""
        trial.deaths += 1
        if trial.deaths < DEATHS:
            return ""
        bad, self._trial = self._held, None
        try:
            found = self._read(other(bad.slot))
            self._parts.slots.put_bad(bad.manifest.content)
        except LittoralError:
            return ""
        if found is None:
            return ""
        self._held, self._incoming = found, None
        self._parts.swapped(found.snapshot)
        return (
            f"the gateway died {DEATHS} times under snapshot {bad.manifest.number}: "
            f"{found.manifest.number} is served again"
        )

    def _go_on(self, incoming: Incoming) -> Applied | PartsWanted:
        missing = incoming.missing()
        if missing:
            return PartsWanted(digests=missing)
        self._incoming = None
        try:
            self._take(incoming)
        except LittoralError as error:
            return _answer(incoming.manifest, error.message)
        return _answer(incoming.manifest, "", self.snapshot)

    def _take(self, incoming: Incoming) -> None:
        """First to disk, then to memory."""
        parts, manifest = self._parts, incoming.manifest
        snapshot = self._marked(travelling.join(manifest, incoming.parts, unpack=parts.unpack))
        slot = other(self._held.slot if self._held else None)
        parts.slots.write(slot, incoming.token, _ordered(manifest, incoming.parts))
        parts.failpoints.hit("snapshot.renamed")
        self._trust(snapshot)
        self._held = _Held(slot=slot, manifest=manifest, snapshot=snapshot, parts=incoming.parts)
        self._trial = _Trial(began=parts.clock.now())
        parts.swapped(snapshot)
        parts.failpoints.hit("snapshot.swapped")

    def _read(self, name: SlotName) -> _Held | None:
        slot = self._parts.slots.read(name)
        if slot is None:
            return None
        manifest = travelling.read(slot.token, self._signers(), unpack=self._parts.unpack)
        reason = self._refusal(manifest, current=(0, 0))
        if reason:
            raise Damaged(reason)
        snapshot = self._marked(travelling.join(manifest, slot.parts, unpack=self._parts.unpack))
        return _Held(slot=name, manifest=manifest, snapshot=snapshot, parts=slot.parts)

    def _refusal(self, manifest: Manifest, current: tuple[int, int] | None = None) -> str:
        anchors = self._parts.anchors()
        if anchors is None:
            return "this node belongs to no cluster yet"
        if manifest.content == self._parts.slots.bad():
            return "the gateway died again and again under it"
        return travelling.refusal(
            manifest,
            node=self._parts.node,
            anchors=anchors,
            current=self.number if current is None else current,
        )

    def _signers(self) -> Mapping[str, bytes]:
        """Who may sign: whom the last snapshot announced, else whom this node met first."""
        kept = self._parts.slots.signers()
        anchors = self._parts.anchors()
        return kept or (anchors.signers if anchors else {})

    def _trust(self, snapshot: Snapshot) -> None:
        if snapshot.signers and snapshot.signers != self._parts.slots.signers():
            self._parts.slots.put_signers(snapshot.signers)


def _answer(manifest: Manifest, reason: str, held: Snapshot | None = None) -> Applied:
    """That it is served, with what of it is left out, or why it is not."""
    unread = () if held is None else held.unread
    return Applied(
        epoch=manifest.epoch,
        version=manifest.version,
        ok=not reason,
        reason=reason or left_out(unread),
        unread=len(unread),
    )


def left_out(unread: Sequence[str]) -> str:
    """What of a snapshot is left out, for people; empty where nothing is."""
    if not unread:
        return ""
    rest = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
    return f"this build cannot read, and leaves out: {', '.join(unread[:NAMED])}{rest}"


def _ordered(manifest: Manifest, parts: Mapping[str, bytes]) -> Iterable[bytes]:
    digests = dict.fromkeys(ref.sha256 for _, ref in sorted(manifest.parts.items()))
    return (parts[digest] for digest in digests)
