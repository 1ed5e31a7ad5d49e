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
    """The port ``Registrar``, over HTTPS, for one that may never be called."""

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers."""
        return await _real().authorities(url)

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        return await _real().join(trust, request)

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await _real().challenge(trust, node)

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await _real().renew(trust, node, request)


def _real() -> Registrar:
    from littoral.client.registrar import HttpRegistrar  # noqa: PLC0415  megabytes that few need

    return HttpRegistrar()
