"""Pulls: at each site one node at a time fetches a blob over the line, the others get it from it.

A pull is a lease that progress renews: a puller that stands still is followed by another.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from littoral.domain.ids import Digest, NodeId
from littoral.domain.units import Bytes, Seconds

LEASE_S: Final = Seconds(30.0)


@dataclass(slots=True)
class _Pull:
    node: NodeId
    done: Bytes
    moved: Seconds


@dataclass(frozen=True, slots=True)
class Turn:
    """What a node may do for a blob now: pull it over the line, and whom to ask on its site."""

    pulls: bool
    peers: Sequence[tuple[NodeId, str]]


@dataclass(slots=True)
class Pulls:
    """Who pulls what at which site, and which nodes have what for their peers."""

    _pulls: dict[tuple[str, Digest], _Pull] = field(default_factory=dict[tuple[str, Digest], _Pull])
    _held: dict[NodeId, tuple[str, frozenset[Digest]]] = field(
        default_factory=dict[NodeId, tuple[str, frozenset[Digest]]]
    )

    def turn(
        self,
        digest: Digest,
        node: NodeId,
        *,
        sites: Mapping[NodeId, str],
        now: Seconds,
        reach: Collection[NodeId] | None = None,
    ) -> Turn:
        """Decide for a node that asks for a blob.

        A node whose peers cannot reach the puller pulls itself.

        Args:
            digest: Which blob.
            node: Who asks.
            sites: The site of every connected node.
            now: Monotonic seconds.
            reach: Whom it can ask; None: it does not say.
        """
        site = sites.get(node, "")
        peers = self._peers(digest, node, sites)
        if reach is not None:
            peers = [each for each in peers if each[0] in reach]
        pull = self._pulls.get((site, digest))
        if pull is not None and (now - pull.moved > LEASE_S or pull.node not in sites):
            pull = None
        reachable = {peer for peer, _ in peers}
        if pull is not None and pull.node != node and pull.node in reachable:
            return Turn(pulls=False, peers=peers)
        if pull is None and any(not self._is_pulling(peer, digest) for peer in reachable):
            return Turn(pulls=False, peers=peers)
        if pull is None or pull.node == node:
            moved = now if pull is None else pull.moved
            done = Bytes(0) if pull is None else pull.done
            self._pulls[site, digest] = _Pull(node, done, moved)
        return Turn(pulls=True, peers=peers)

    def progress(
        self, digest: Digest, node: NodeId, *, done: Bytes, ended: bool, now: Seconds
    ) -> None:
        """Take what a node says of a blob under way; only more bytes renew its lease."""
        for place, pull in list(self._pulls.items()):
            if place[1] != digest or pull.node != node:
                continue
            if ended:
                del self._pulls[place]
            elif done > pull.done:
                pull.done, pull.moved = done, now

    def held(self, node: NodeId, *, address: str, digests: Sequence[Digest]) -> None:
        """Take what a node has for its peers, and where they ask."""
        self._held[node] = (address, frozenset(digests))

    def under_way(self, now: Seconds) -> frozenset[Digest]:
        """Blobs that some node pulls, by what it said within the lease."""
        live = (place for place, pull in self._pulls.items() if now - pull.moved <= LEASE_S)
        return frozenset(digest for _, digest in live)

    def left(self, node: NodeId) -> None:
        """A node is gone: nobody asks it, and it pulls nothing."""
        self._held.pop(node, None)
        for place in [place for place, pull in self._pulls.items() if pull.node == node]:
            del self._pulls[place]

    def _peers(
        self, digest: Digest, node: NodeId, sites: Mapping[NodeId, str]
    ) -> Sequence[tuple[NodeId, str]]:
        found = [
            (peer, address)
            for peer, (address, digests) in sorted(self._held.items())
            if address
            and peer != node
            and sites.get(peer) == sites.get(node)
            and (digest in digests or self._is_pulling(peer, digest))
        ]
        return sorted(found, key=lambda each: self._is_pulling(each[0], digest))

    def _is_pulling(self, node: NodeId, digest: Digest) -> bool:
        return any(pull.node == node and place[1] == digest for place, pull in self._pulls.items())
