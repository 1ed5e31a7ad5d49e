"""Registrar without a network: asks the door of a control in the same process."""

from collections.abc import Mapping
from typing import Protocol

from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    Trusted,
)
from littoral.domain.errors import ControlUnreachable, WrongAuthority
from littoral.domain.ids import NodeId
from littoral.domain.upkeep import Issued
from littoral.trust import certificate


class Door(Protocol):
    """What control answers with on its public listener."""

    async def authorities(self) -> Authorities:
        """The roots."""
        ...

    async def join(self, request: JoinRequest, *, address: str) -> JoinAnswer:
        """Make a machine a node."""
        ...

    async def challenge(self, node: str) -> Challenge:
        """A nonce."""
        ...

    async def renew(self, node: str, request: RenewRequest) -> Issued:
        """A new certificate."""
        ...


class MemoryRegistrar:
    """Twin of ``Registrar``. A test closes a door by taking it out of ``doors``.

    Args:
        doors: By URL.
        address: Whom control takes the caller for.
    """

    def __init__(self, doors: Mapping[str, Door], *, address: str = "192.0.2.1") -> None:
        self.doors = dict(doors)
        self._address = address

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers."""
        return await self._at(url).authorities()

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        door = await self._trusted(trust)
        return await door.join(request, address=self._address)

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await (await self._trusted(trust)).challenge(node)

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await (await self._trusted(trust)).renew(node, request)

    def _at(self, url: str) -> Door:
        if url not in self.doors:
            raise ControlUnreachable(f"nobody answers at {url}")
        return self.doors[url]

    async def _trusted(self, trust: Trusted) -> Door:
        """The door, if one of its roots is trusted and of the cluster."""
        door = self._at(trust.url)
        theirs = set(certificate.split((await door.authorities()).ca))
        common = theirs.intersection(certificate.split(trust.roots))
        if trust.cluster not in {certificate.cluster_of(root) for root in common}:
            raise WrongAuthority(f"who answers at {trust.url} is not this cluster's control")
        return door
