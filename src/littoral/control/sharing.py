"""Sharing: the control end of what nodes say of limits, and of what they may use of them."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

import anyio

from littoral.control.shares import ShareBook
from littoral.control.worker import Bell, Workers
from littoral.domain.ids import NodeId
from littoral.domain.limits import Limits
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.share import Drawn
from littoral.domain.units import Seconds

DIVIDE_S = Seconds(0.5)
"""What nodes say within this time leads to one division."""
HEARD_WITHIN = Seconds(5.0)
"""A node that has not said by then what it holds gets its snapshot all the same."""


class Sharing:
    """Passes on what nodes say, divides now and then, and sends what is due.

    Args:
        book: Knows who holds what.
        workers: Where it is asked.
        divide_s: Least seconds between two divisions.
    """

    def __init__(self, book: ShareBook, workers: Workers, *, divide_s: Seconds = DIVIDE_S) -> None:
        self._book = book
        self._workers = workers
        self._divide_s = divide_s
        self._bells: dict[NodeId, Bell] = {}
        self._stale = self._dividing = False

    async def serve(self, node: NodeId, channel: Channel) -> None:
        """Send a node its slices as they change, until cancelled."""
        bell = self._bells[node]
        with suppress(ChannelClosed):
            while True:
                heard = bell.count
                if self._stale and not self._dividing:
                    await self._divide()
                await self._send(node, channel)
                await bell.wait(heard)

    async def opened(self, node: NodeId) -> None:
        """A session begins."""
        self._bells[node] = Bell()
        await self._workers.state(partial(self._book.opened, node))

    async def ended(self, node: NodeId) -> None:
        """A session has ended, and no newer one of its node is open."""
        self._bells.pop(node, None)
        await self._workers.state(partial(self._book.ended, node))

    async def heard(self, node: NodeId, frame: Drawn) -> None:
        """A node says what it holds."""
        if await self._workers.state(partial(self._book.heard, node, frame)):
            self._stale = True
        self._ring((node,))

    async def before(
        self, node: NodeId, channel: Channel, limits: Mapping[str, Limits], *, says: bool
    ) -> None:
        """See that a node has its slices before it hears of limits.

        Args:
            node: Which one.
            channel: To it.
            limits: By limit id.
            says: Whether it begins by saying what it holds.
        """
        bell = self._bells.get(node)
        with anyio.move_on_after(HEARD_WITHIN if says else 0):
            while bell is not None and not self._book.is_heard(node):
                await bell.wait(bell.count)
        self._ring(await self._workers.state(partial(self._book.limited, limits)))
        await self._send(node, channel)

    async def _divide(self) -> None:
        self._dividing = True
        try:
            await anyio.sleep(self._divide_s)
            self._stale = False
            self._ring(await self._workers.state(self._book.divide))
        finally:
            self._dividing = False
            if self._stale:
                self._ring(tuple(self._bells))

    async def _send(self, node: NodeId, channel: Channel) -> None:
        for frame in await self._workers.state(partial(self._book.due, node)):
            await channel.send(frame)

    def _ring(self, nodes: Iterable[NodeId]) -> None:
        for node in nodes:
            bell = self._bells.get(node)
            if bell is not None:
                bell.ring()
