"""Snapshots as control would issue them, for tests of nodes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from littoral.domain.session import Frame, PartPiece, PartsWanted, SnapshotOffer
from littoral.domain.snapshot import HOME_SITE, Anchors, Snapshot
from littoral.trust.manifest import Issued, issue
from littoral.trust.signature import key_id, public_of

SEED: Final = bytes(range(32))
CLUSTER: Final = "cl_test"


class Issuer:
    """Signs snapshots with one key, and answers a node that lacks parts of them.

    Args:
        pack: Encodes parts.
        seed: Makes the key.
    """

    def __init__(self, pack: Callable[[Frame], bytes], *, seed: bytes = SEED) -> None:
        public = public_of(seed)
        self.seed = seed
        self.signers: Mapping[str, bytes] = {key_id(public): public}
        self.parts: dict[str, bytes] = {}
        self.asked: list[str] = []
        self._pack = pack

    def anchors(self) -> Anchors:
        """What a node is told when it joins."""
        return Anchors(cluster=CLUSTER, site=HOME_SITE, signers=self.signers)

    def named(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot with this cluster and signers where it names none: as it will be served."""
        return replace(
            snapshot,
            cluster=snapshot.cluster or CLUSTER,
            signers=snapshot.signers or self.signers,
        )

    def issue(self, snapshot: Snapshot) -> Issued:
        """Sign a snapshot, as ``named``."""
        issued = issue(self.named(snapshot), seed=self.seed, pack=self._pack)
        self.parts |= issued.parts
        return issued

    def offer(self, snapshot: Snapshot) -> SnapshotOffer:
        """The frame that offers it."""
        return SnapshotOffer(manifest=self.issue(snapshot).token)

    def pieces(self, wanted: PartsWanted) -> list[PartPiece]:
        """The frames that answer a node, each part in two pieces."""
        self.asked += wanted.digests
        found: list[PartPiece] = []
        for digest in wanted.digests:
            data = self.parts[digest]
            half = len(data) // 2
            found += (
                PartPiece(digest=digest, at=0, piece=data[:half]),
                PartPiece(digest=digest, at=half, piece=data[half:]),
            )
        return found
