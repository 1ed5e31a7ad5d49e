"""Wire: what the product's own sessions stand on in a simulation, and who dials whom."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from littoral.domain.link import Peer
from littoral.domain.pipe import Carrier, Pipe
from littoral.domain.ports import (
    Chance,
    ChannelClosed,
    Clock,
    Entropy,
    Failpoints,
    Network,
)
from littoral.domain.session import Frame
from littoral.lab.life import Life
from littoral.lab.wan import Handler, Link, Wan


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What sessions of one process stand on; ``admit`` says why a node is turned away."""

    carrier: Carrier
    clock: Clock
    chance: Chance
    entropy: Entropy
    failpoints: Failpoints
    admit: Callable[[Peer], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """The product's own: how frames are written, and how sessions are carried."""

    pack: Callable[[Frame], bytes]
    unpack: Callable[[bytes], Frame]
    link: Callable[[Ground], Network]


class EdgeCarrier:
    """What an edge's processes see of the network, in one life.

    Args:
        wan: The network.
        link: The way there.
        life: Of the process.
        peer: Who it shows that it is.
    """

    def __init__(self, wan: Wan, link: Link, life: Life, *, peer: Callable[[], Peer]) -> None:
        self._wan = wan
        self._link = link
        self._life = life
        self._peer = peer

    def dial(self, address: str) -> AbstractAsyncContextManager[Pipe]:
        """Connect to the cloud."""
        return self._wan.dial(address, self._link, life=self._life, peer=self._peer())

    def listen(self, address: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Serve others."""
        return self._wan.listen(address, handler, self._life)


class CloudCarrier:
    """What control sees of the network, in one life."""

    def __init__(self, wan: Wan, life: Life) -> None:
        self._wan = wan
        self._life = life

    def dial(self, address: str) -> AbstractAsyncContextManager[Pipe]:
        """Control dials nobody."""
        raise ChannelClosed(f"nothing at {address} can be reached from here")

    def listen(self, address: str, handler: Handler) -> AbstractAsyncContextManager[None]:
        """Serve nodes."""
        return self._wan.listen(address, handler, self._life)
