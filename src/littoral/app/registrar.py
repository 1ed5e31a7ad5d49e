"""Registrar for a running node: the HTTP client is loaded when it is needed, which is rare."""

from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    Trusted,
)
from littoral.domain.ids import NodeId
from littoral.domain.registrar import Registrar
from littoral.domain.upkeep import Issued


class LateRegistrar:
    """The port ``Registrar``, over HTTPS, for one that may never be called.

    Args:
        proxy: Through which HTTP proxy control is reached; empty: none.
    """

    def __init__(self, *, proxy: str = "") -> None:
        self._proxy = proxy

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers."""
        return await self._real().authorities(url)

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        return await self._real().join(trust, request)

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await self._real().challenge(trust, node)

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await self._real().renew(trust, node, request)

    def _real(self) -> Registrar:
        from littoral.client.registrar import HttpRegistrar  # noqa: PLC0415  megabytes that few need

        return HttpRegistrar(proxy=self._proxy)
