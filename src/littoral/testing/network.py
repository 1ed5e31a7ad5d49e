"""Network in memory: listeners by address, each new channel in a task of its own."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from littoral.domain.ports import Channel, ChannelClosed
from littoral.testing.channel import MemoryChannel, channel_pair

T = TypeVar("T")
Handler = Callable[[Channel], Awaitable[None]]


class MemoryNetwork:
    """Dial and listen without sockets."""

    def __init__(self) -> None:
        self._listeners: dict[str, tuple[TaskGroup, Handler]] = {}

    @asynccontextmanager
    async def dial(self, address: str) -> AsyncGenerator[Channel]:
        """Open a channel to a listener."""
        if address not in self._listeners:
            raise ChannelClosed(f"nobody listens at {address!r}")
        group, handler = self._listeners[address]
        ours, theirs = channel_pair()
        group.start_soon(_serve, handler, theirs)
        try:
            yield ours
        finally:
            await ours.close()

    @asynccontextmanager
    async def listen(self, address: str, handler: Handler) -> AsyncGenerator[None]:
        """Serve each new channel with ``handler`` until the context ends."""
        async with listening(self._listeners, address, handler):
            yield


@asynccontextmanager
async def listening(
    listeners: dict[str, tuple[TaskGroup, T]], address: str, handler: T
) -> AsyncGenerator[None]:
    """Have a listener at an address, with a group for what it serves, until the context ends."""
    async with anyio.create_task_group() as group:
        listeners[address] = (group, handler)
        try:
            yield
        finally:
            del listeners[address]
            group.cancel_scope.cancel()


async def _serve(handler: Handler, channel: MemoryChannel) -> None:
    try:
        await handler(channel)
    finally:
        await channel.close()
