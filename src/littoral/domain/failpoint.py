"""Failpoints: the closed list of places where tests inject death, error and delay."""

from typing import Literal, Protocol, TypeAlias, get_args

FailpointName: TypeAlias = Literal[
    "outbox.begin",
    "outbox.committed",
    "records.sent",
    "records.applied",
    "stored.sent",
    "rows.deleted",
    "revoke.synced",
    "snapshot.part",
    "snapshot.renamed",
    "snapshot.swapped",
    "engine.spawned",
    "request.admitted",
    "request.settled",
    "slots.freed",
    "state.committed",
    "blob.renamed",
    "join.signed",
    "identity.written",
    "renew.issued",
    "session.hello",
    "session.resumed",
    "chunk.synced",
    "delta.verified",
    "canary.verdict",
    "update.switched",
    "deferred.accepted",
    "deferred.started",
    "deferred.settled",
    "deferred.booked",
    "slot.switched",
    "shares.given",
    "shares.written",
    "peers.written",
    "piece.read",
]

NAMES: tuple[str, ...] = get_args(FailpointName)


class Failpoints(Protocol):
    """Named places where a test can make the process die, fail or wait."""

    def hit(self, name: FailpointName) -> None:
        """Pass the place ``name``; raises or ends the process only where a test armed it."""
        ...
