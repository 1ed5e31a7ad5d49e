"""Peers: the channels between this node and others that need no control.

Whoever listens is dialled; of two that listen the one with the smaller id dials, and the other one
only where that does not come. A way is used once a channel is open and while it carries.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

import anyio
from anyio.abc import TaskGroup

from littoral.domain.errors import LittoralError, StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.link import Peer
from littoral.domain.neighbour import (
    PieceAnswer,
    PieceAsk,
    may_meet,
    ways_to,
)
from littoral.domain.ports import (
    Chance,
    Channel,
    ChannelClosed,
    Disk,
    Failpoints,
    Network,
)
from littoral.domain.reach import Spot, within
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Seconds
from littoral.node.backoff import delay
from littoral.node.board import Board
from littoral.node.neighbour import Neighbour, NeighbourParts, nothing
from littoral.node.pieces import Read
from littoral.node.redial import causes
from littoral.node.relay import Relay
from littoral.node.signal import Signal

FILE: Final = "peers.json"
MOST: Final = 64
"""Nodes that are dialled."""
YIELD_S: Final = Seconds(15.0)
"""How long the node with the greater id waits for the other one to dial."""
AGAIN_S: Final = Seconds(30.0)
"""Longest wait before a node that did not answer is dialled again."""
SETTLE_S: Final = Seconds(5.0)
"""How long it may take until it is known who can be asked, after control told who there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering:
    """How a node reaches others, and they it.

    ``towards`` makes the network that takes nobody but one node at the other end; ``serving``
    makes the one to listen with, told who is turned away and why. ``listen`` is where, empty where
    this node does not listen; ``address`` what others are told, ``ip:port``.
    """

    towards: Callable[[NodeId], Network]
    serving: Callable[[Callable[[Peer], str]], Network]
    listen: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerParts:
    """What peers need of the world; without ``peering`` there are none.

    ``peers.written`` stands behind the list of where others listen, ``piece.read`` behind a piece
    of a blob that a neighbour asked for.
    """

    me: NodeId
    peering: Peering | None
    relay: Relay
    board: Board
    disk: Disk
    chance: Chance
    failpoints: Failpoints


class Peers:
    """All channels to other nodes.

    Args:
        parts: The world.
    """

    def __init__(self, parts: PeerParts) -> None:
        self._parts = parts
        self._spots: Mapping[NodeId, Spot] = {}
        self._hints: dict[NodeId, str] = _kept(parts.disk)
        parts.board.peer = "" if parts.peering is None else parts.peering.address
        self._open: dict[NodeId, Neighbour] = {}
        self._tried: set[NodeId] = set()
        self._dialling: dict[NodeId, anyio.CancelScope] = {}
        self._changed = Signal()
        self._told = bool(self._hints)
        self.read: Read = nothing
        """Where pieces of blobs are read, for neighbours of this site."""

    # ---- what others tell

    def swapped(self, snapshot: Snapshot) -> None:
        """Know who is a node, from a new snapshot; who is none any more is not spoken with."""
        self._spots = snapshot.neighbours
        for node in [node for node in self._open if node not in self._spots]:
            self._open[node].scope.cancel()
        self._show()
        self._changed.notify()

    def hinted(self, doors: Mapping[NodeId, str]) -> None:
        """Control says where others listen. Who is not named may only be cut off from control."""
        known = {**self._hints, **doors}
        if known != self._hints and self._parts.peering is not None:
            self._hints = known
            with suppress(StorageFull):  # they are in memory, and written with the next change
                self._parts.disk.write(FILE, json.dumps(known, sort_keys=True).encode())
                self._parts.failpoints.hit("peers.written")
        self._told = True
        self._changed.notify()

    async def near(self) -> tuple[NodeId, ...]:
        """The nodes of this site that can be asked now; waits once, until all known were tried."""
        with anyio.move_on_after(SETTLE_S):
            while not self._told or self._wanted().keys() - self._tried:
                await self._changed.wait()
        self._told = True
        self._tried |= self._wanted().keys()
        found = sorted(self._open.items())
        return tuple(node for node, each in found if each.good and self._is_near(node))

    def _is_near(self, node: NodeId) -> bool:
        """Whether a node stands at this site."""
        here, there = self._spots.get(self._parts.me), self._spots.get(node)
        return here is not None and there is not None and here.site == there.site

    async def ask(self, node: NodeId, ask: PieceAsk) -> Callable[[], Awaitable[PieceAnswer]]:
        """Ask a neighbour for a piece; what it returns waits for the answer.

        Raises:
            ChannelClosed: It cannot be reached.
        """
        found = self._open.get(node)
        if found is None or not found.good:
            raise ChannelClosed(f"{node} cannot be reached from here now")
        return await found.asking.ask(found.channel, ask)

    # ---- running

    async def run(self) -> None:
        """Listen, and dial whoever is known, until cancelled."""
        peering = self._parts.peering
        if peering is None:
            return
        async with anyio.create_task_group() as group:
            if peering.listen:
                group.start_soon(self._listen, peering)
            while True:
                self._begin(group, peering)
                await self._changed.wait()

    def _begin(self, group: TaskGroup, peering: Peering) -> None:
        """Dial whom nobody dials yet, and nobody any more who is not wanted."""
        wanted = self._wanted()
        for node, scope in list(self._dialling.items()):
            if node not in wanted:
                del self._dialling[node]
                scope.cancel()
        for node in wanted:
            if node not in self._dialling:
                scope = self._dialling[node] = anyio.CancelScope()
                group.start_soon(self._keep, node, peering, scope)

    def _wanted(self) -> Mapping[NodeId, str]:
        me, here = self._parts.me, self._spots.get(self._parts.me)
        if here is None:
            return {}
        found = {
            node: address
            for node, address in sorted(self._hints.items())
            if node != me and node in self._spots and may_meet(here, self._spots[node], address)
        }
        return dict(list(found.items())[:MOST])

    async def _listen(self, peering: Peering) -> None:
        """Serve whoever dials; a port that cannot be had is said, and tried again."""
        streak = 0
        while True:
            try:
                network = peering.serving(self._refusal)
                async with network.listen(peering.listen, self._accept):
                    streak = 0
                    await anyio.sleep_forever()
            except (OSError, LittoralError) as error:
                text = f"cannot listen for other nodes at {peering.address}: {error}"
                self._parts.board.say("peers", "peer_listen_failed", text, level="error")
            await anyio.sleep(delay(streak, cap_s=AGAIN_S, chance=self._parts.chance))
            streak += 1

    def _refusal(self, peer: Peer) -> str:
        """Why a node is turned away; empty where it may come in."""
        return "" if peer.node in self._spots else "this is no node of the cluster (any more)"

    async def _accept(self, channel: Channel) -> None:
        if channel.peer is not None and channel.peer in self._spots:
            await self._serve(channel.peer, channel, first=2)

    async def _keep(self, node: NodeId, peering: Peering, scope: anyio.CancelScope) -> None:
        """Keep a channel to one node for as long as there is a reason to."""
        parts, streak = self._parts, 0
        try:
            with scope:
                while True:
                    await self._until_missing(node, yields=bool(peering.address))
                    failed = await self._dial(node, peering.towards(node))
                    streak = streak + 1 if failed else 0
                    await anyio.sleep(delay(streak, cap_s=AGAIN_S, chance=parts.chance))
        finally:
            if self._dialling.get(node) is scope:
                del self._dialling[node]

    async def _until_missing(self, node: NodeId, *, yields: bool) -> None:
        """Wait until there is no channel to a node, and whoever is to dial first had the time."""
        while True:
            while node in self._open:
                await self._changed.wait()
            if not yields or self._parts.me < node:
                return
            with anyio.move_on_after(YIELD_S):
                while node not in self._open:
                    await self._changed.wait()
            if node not in self._open:
                return

    async def _dial(self, node: NodeId, network: Network) -> str:
        """One channel from its begin to its end; why it ended, empty where it was closed."""
        failure = ""
        try:
            async with network.dial(f"wss://{self._hints[node]}") as channel:
                await self._serve(node, channel, first=1)
        except* (ChannelClosed, LittoralError, TimeoutError) as group:
            failure = str(next(causes(group))) or "no answer"
        self._tried.add(node)
        self._changed.notify()
        return failure

    async def _serve(self, node: NodeId, channel: Channel, *, first: int) -> None:
        """Speak with a neighbour until either leaves; a newer channel replaces an older one."""
        parts = self._parts
        world = NeighbourParts(
            relay=parts.relay,
            board=parts.board,
            chance=parts.chance,
            failpoints=parts.failpoints,
            read=lambda: self.read if self._is_near(node) else nothing,
            changed=self._has_changed,
        )
        this = Neighbour(node, channel, world)
        older = self._open.get(node)
        if older is not None:
            older.scope.cancel()
        self._open[node] = this
        try:
            await this.talk(first=first)
        finally:
            if self._open.get(node) is this:
                del self._open[node]
            self._has_changed(this)

    def _has_changed(self, this: Neighbour) -> None:
        self._tried.add(this.node)
        self._show()
        self._changed.notify()

    def _show(self) -> None:
        """Put the ways that can be used on the board."""
        here = self._spots.get(self._parts.me)
        self._parts.board.put_near(
            each
            for node, this in sorted(self._open.items())
            if this.good and here is not None and node in self._spots
            for each in ways_to(
                node,
                this.endpoints,
                path="peer",
                within=within(here, (self._spots[node],)),
                rtt_s=this.rtt_s,
            )
        )


def _kept(disk: Disk) -> dict[NodeId, str]:
    """The hints of the last time; a node that starts without control has these."""
    try:
        found = cast("object", json.loads(disk.read(FILE) or b"{}"))
    except ValueError:
        return {}
    known = cast("dict[object, object]", found) if isinstance(found, dict) else {}
    return {
        NodeId(node): door
        for node, door in known.items()
        if isinstance(node, str) and isinstance(door, str)
    }
