"""Remote: the network of sessions over TLS, as control serves it and as a node dials it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from littoral.app.link.carrier import CarrierParts, SocketCarrier
from littoral.app.link.network import Admit, LinkNetwork, LinkParts
from littoral.app.system import SystemChance
from littoral.domain.enrolment import control_host, node_host
from littoral.domain.ids import NodeId
from littoral.domain.link import Shown
from littoral.domain.pipe import Remote
from littoral.domain.ports import Clock, Entropy, Failpoints, Network
from littoral.domain.units import Micros


def remote(*, clock: Clock, entropy: Entropy, failpoints: Failpoints) -> Remote:
    """What control makes its network of sessions with, once it knows what it shows."""

    def made(shown: Callable[[], Awaitable[Shown]], admit: Admit) -> Network:
        carrier = SocketCarrier(CarrierParts(shown=shown, clock=clock, name=""))
        return LinkNetwork(
            LinkParts(
                carrier=carrier,
                clock=clock,
                chance=SystemChance(),
                entropy=entropy,
                failpoints=failpoints,
                admit=admit,
            )
        )

    return made


def between_nodes(
    shown: Callable[[], Awaitable[Shown]],
    *,
    cluster: str,
    clock: Clock,
    entropy: Entropy,
    failpoints: Failpoints,
) -> tuple[Callable[[NodeId], Network], Callable[[Admit], Network]]:
    """What a node reaches other nodes with, and what it listens for them with.

    Whoever is dialled must show the certificate of that very node.
    """

    def made(name: str, admit: Admit | None = None) -> Network:
        parts = LinkParts(
            carrier=SocketCarrier(CarrierParts(shown=shown, clock=clock, name=name)),
            clock=clock,
            chance=SystemChance(),
            entropy=entropy,
            failpoints=failpoints,
        )
        return LinkNetwork(parts if admit is None else replace(parts, admit=admit))

    return lambda node: made(node_host(node, cluster)), lambda admit: made("", admit)


def towards_control(  # noqa: PLR0913  what TLS, sessions and certificates need meets here
    shown: Callable[[], Awaitable[Shown]],
    *,
    cluster: str,
    clock: Clock,
    entropy: Entropy,
    failpoints: Failpoints,
    lenient: Callable[[], bool],
    holds: Callable[[], Micros | None],
    proxy: str = "",
) -> Network:
    """What a node reaches control with.

    Args:
        shown: The node's certificate of the moment.
        cluster: Whose control; its certificate must say so, whatever address was dialled.
        clock: Measures the way.
        entropy: For ids of sessions.
        failpoints: Passed where a session goes on.
        lenient: Whether this host's clock is too wrong to compare dates of certificates; control
            tells the time afterwards.
        holds: When the node's certificate of the moment ends.
        proxy: Through which HTTP proxy it is dialled; empty: none.
    """
    name = control_host(cluster)
    parts = CarrierParts(shown=shown, clock=clock, name=name, lenient=lenient, proxy=proxy)
    return LinkNetwork(
        LinkParts(
            carrier=SocketCarrier(parts),
            clock=clock,
            chance=SystemChance(),
            entropy=entropy,
            failpoints=failpoints,
            holds=holds,
        )
    )
