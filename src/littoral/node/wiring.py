"""Wiring: parts of a node that are made of many others."""

from collections.abc import Awaitable, Callable, Mapping

from littoral.domain.neighbour import SCHEME
from littoral.domain.session import Frame
from littoral.domain.snapshot import Snapshot
from littoral.node.artefact import ArtefactParts, Artefacts
from littoral.node.board import Board
from littoral.node.clock import FloorClock
from littoral.node.dating import Dating
from littoral.node.limits import LimitRows
from littoral.node.parts import NodeParts
from littoral.node.peers import PeerParts, Peers
from littoral.node.pieces import NearDownloads
from littoral.node.relay import Relay
from littoral.node.sharing import Sharing
from littoral.node.slot import Slots
from littoral.node.snapshot import HeldSnapshot, SnapshotParts
from littoral.node.standing import Standing


def peers_of(parts: NodeParts, relay: Relay, board: Board) -> Peers:
    """The channels to other nodes."""
    return Peers(
        PeerParts(
            me=parts.identity.node,
            peering=parts.peering,
            relay=relay,
            board=board,
            disk=parts.disk,
            chance=parts.chance,
            failpoints=parts.failpoints,
        )
    )


def sharing_of(parts: NodeParts, rows: LimitRows, board: Board) -> Sharing:
    """This node's slices of limits."""
    return Sharing(
        parts.identity.node, rows, disk=parts.disk, board=board, failpoints=parts.failpoints
    )


def artefacts_of(
    parts: NodeParts,
    peers: Peers,
    board: Board,
    *,
    post: Callable[[Frame], Awaitable[None]],
    keys: Callable[[], Mapping[str, bytes]],
) -> Artefacts | None:
    """What brings blobs to a node, from its neighbours too; None where it shares control's disk.

    Args:
        parts: The world.
        peers: Whom it can ask, and who may ask it.
        board: Where it is shown.
        post: Sends control a frame.
        keys: Whom the node believes.
    """
    fetching = parts.fetching
    if fetching is None:
        return None
    artefacts = Artefacts(
        ArtefactParts(
            parts=fetching.parts,
            downloads=NearDownloads(peers.ask, fetching.downloads),
            post=post,
            keys=keys,
            rebuild=fetching.rebuild,
            local=fetching.local,
            clock=parts.clock,
            chance=parts.chance,
            failpoints=parts.failpoints,
            board=board,
            address=SCHEME + parts.identity.node if board.peer else "",
            near=None if parts.peering is None else peers.near,
        )
    )
    peers.read = artefacts.piece
    return artefacts


def snapshot_of(
    parts: NodeParts, clock: FloorClock, swapped: Callable[[Snapshot], None]
) -> HeldSnapshot:
    """The snapshot that a node holds; ``swapped`` is told of each newer one."""
    return HeldSnapshot(
        SnapshotParts(
            node=parts.identity.node,
            anchors=parts.anchors,
            slots=Slots(parts.disk),
            unpack=parts.unpack,
            failpoints=parts.failpoints,
            clock=clock,
            swapped=swapped,
        )
    )


def standing_of(
    parts: NodeParts, clock: FloorClock, held: HeldSnapshot, *, board: Board
) -> Standing:
    """What watches time, and remembers what was believed of it in this boot of the machine."""
    boot = parts.tools.origin.machine or parts.identity.boot
    dating = Dating(clock, parts.disk, boot)
    return Standing(clock, held, board, dating=dating, joined=parts.joined)
