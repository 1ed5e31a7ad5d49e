"""Pipe: ordered messages of bytes to one verified peer, and the carrier that opens pipes."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeAlias

from littoral.domain.link import Peer, Shown
from littoral.domain.ports import ChannelClosed, Network
from littoral.domain.units import Micros

Remote: TypeAlias = Callable[[Callable[[], Awaitable[Shown]], Callable[[Peer], str]], Network]
"""Makes the network of sessions from elsewhere: what control shows, and whom it turns away."""
MOST_MESSAGE: Final = 65_536
"""Most bytes of one message."""


class PipeClosed(ChannelClosed):
    """The pipe has ended; ``reason`` is what the other end said, or ``lost`` where it said nothing.

    Args:
        reason: One of the reasons of closes.
        message: What happened, for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Pipe(Protocol):
    """An open connection; one task receives, another one sends."""

    @property
    def peer(self) -> Peer | None:
        """Who is there, by certificate; None at the end that dialled: it dialled a name."""
        ...

    @property
    def unchecked_us(self) -> tuple[Micros, Micros] | None:
        """From when until when the other end's certificate holds, where nobody compared it yet."""
        ...

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the other end is slow. Raises ``PipeClosed``."""
        ...

    async def receive(self) -> bytes:
        """The next message. Raises ``PipeClosed`` at the end."""
        ...

    async def close(self, reason: str, message: str = "") -> None:
        """Say why, and end it; safe to call twice."""
        ...


class Carrier(Protocol):
    """Where pipes come from."""

    def dial(self, address: str) -> AbstractAsyncContextManager[Pipe]:
        """Open a pipe to a listener. Raises ``ChannelClosed``, or ``Shed`` where it is full."""
        ...

    def listen(
        self, address: str, handler: Callable[[Pipe], Awaitable[None]]
    ) -> AbstractAsyncContextManager[None]:
        """Serve each new pipe with ``handler`` in its own task until the context ends."""
        ...
