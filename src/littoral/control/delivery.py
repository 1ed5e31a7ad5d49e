"""Delivery: which snapshot each connected node serves, and waiting until a change is there."""

from functools import partial

import anyio

from littoral.control.publish import Publisher
from littoral.control.worker import Bell, Workers
from littoral.domain.ids import NodeId
from littoral.domain.units import Seconds

PATIENCE_S = Seconds(2.0)


class Delivery:
    """Knows how far each connected node is.

    Args:
        publisher: Says which snapshot a node shall serve.
        workers: Where that is looked up.
        bell: Rung for a change, so that it is offered.
    """

    def __init__(self, publisher: Publisher, workers: Workers, bell: Bell) -> None:
        self._publisher = publisher
        self._workers = workers
        self._bell = bell
        self._serves: dict[NodeId, tuple[int, int]] = {}
        self._news = Bell()

    def joined(self, node: NodeId) -> None:
        """A session of this node is open; it has said nothing of a snapshot yet."""
        self._serves[node] = (0, 0)

    def applied(self, node: NodeId, number: tuple[int, int]) -> None:
        """A node serves the snapshot of this epoch and version."""
        self._serves[node] = number
        self._news.ring()

    def left(self, node: NodeId) -> None:
        """The node's session has ended: nobody waits for it."""
        self._serves.pop(node, None)
        self._news.ring()

    async def everywhere(self) -> None:
        """Offer what has changed; return when every connected node serves it, or was too slow.

        A node that is away, or takes longer than the patience, gets the change when it can.
        """
        self._bell.ring()
        with anyio.move_on_after(PATIENCE_S):
            for node in sorted(self._serves):
                await self._at(node)

    async def _at(self, node: NodeId) -> None:
        wanted = await self._workers.state(partial(self._publisher.compile, node))
        number = (wanted.epoch, wanted.version)
        while self._serves.get(node, number) < number:
            await self._news.wait(self._news.count)
