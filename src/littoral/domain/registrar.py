"""Registrar: the port through which a machine joins, and renews its certificate late."""

from typing import Protocol

from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    Trusted,
)
from littoral.domain.ids import NodeId
from littoral.domain.upkeep import Issued


class Registrar(Protocol):
    """What a machine asks of control outside a session, at control's public address.

    Each call but the first trusts the given roots alone, and no server but control's.
    All raise ``ControlUnreachable`` where nobody does, ``WrongAuthority`` where somebody else
    does, and what control answers with.
    """

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers: nobody is trusted yet, and nothing is told."""
        ...

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        ...

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        ...

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        ...
