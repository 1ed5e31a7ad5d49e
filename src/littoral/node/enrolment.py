"""Enrolment: how a machine becomes a node, and how it stays one when its certificate ran out.

Each step may be cut off and done again: the request is written down before it is sent, and the
same request gets the same answer.
"""

from dataclasses import dataclass

import msgspec

from littoral.domain.enrolment import (
    PENDING,
    Inventory,
    JoinAnswer,
    JoinRequest,
    NodeIdentity,
    Pending,
    RenewRequest,
    Trusted,
)
from littoral.domain.errors import ControlUnreachable, LittoralError, NotOurs, WrongAuthority
from littoral.domain.ports import Clock, Disk, Entropy
from littoral.domain.registrar import Registrar
from littoral.domain.units import Micros
from littoral.domain.upkeep import Issued
from littoral.node.identity import Credentials, IdentityStore
from littoral.trust import certificate as trust
from littoral.trust import ticket as trust_ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A machine wishes to join: where, with which token, under which name, and what it is."""

    url: str
    token: str
    name: str
    facts: Inventory


class Joining:
    """Makes this machine a node.

    Args:
        store: Where the identity is kept.
        disk: Where a join under way is kept.
        registrar: Speaks to control.
        clock: Dates the key.
        entropy: Makes the key.
    """

    def __init__(
        self,
        store: IdentityStore,
        *,
        disk: Disk,
        registrar: Registrar,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._disk = disk
        self._registrar = registrar
        self._clock = clock
        self._entropy = entropy

    async def join(self, wish: Wish, *, former: Credentials | None = None) -> Credentials:
        """Join, or go on with a join that was cut off.

        Args:
            wish: Where and as what.
            former: The node that this machine was before; the new one takes its place.

        Raises:
            InvalidInput: The token is none.
            WrongAuthority: Who answers is not the cluster that the token names.
            ControlUnreachable: Nobody answers.
            LittoralError: Control refuses; the message says why.
        """
        ticket = trust_ticket.parse(wish.token)
        root = await self._root(wish.url, ticket.pin)
        cluster = trust.cluster_of(root)
        key = self._store.next_key(self._entropy.bytes(trust.KEY_BYTES))
        request = self._request(wish, ticket, key=key, former=former)
        trust_it = Trusted(url=wish.url, roots=root, cluster=cluster)
        answer = await self._registrar.join(trust_it, request)
        if trust.pin(root) not in map(trust.pin, trust.split(answer.ca)):
            raise WrongAuthority("control does not trust the root that the join token names")
        if answer.cluster != cluster:
            raise WrongAuthority("control says that it is another cluster than its root does")
        identity = identity_of(answer, key_us=self._clock.wall())
        taken = self._store.take(identity, key=key, chain=answer.chain, ca=answer.ca)
        self._disk.remove(PENDING)
        return taken

    async def _root(self, url: str, pin: str) -> str:
        """The root that the token names, as whoever answers shows it."""
        shown = trust.split((await self._registrar.authorities(url)).ca)
        for root in shown:
            if trust.pin(root) == pin:
                return root
        raise WrongAuthority(
            f"who answers at {url} is not the cluster that the join token names: nothing was told "
            "to it. Check the address, and that nobody stands between"
        )

    def _request(
        self, wish: Wish, ticket: trust_ticket.Ticket, *, key: str, former: Credentials | None
    ) -> JoinRequest:
        """The request under way with this token, else a new one, which is written down."""
        kept = self._disk.read(PENDING)
        if kept is not None:
            pending = msgspec.json.decode(kept, type=Pending)
            if pending.request.token == wish.token.strip() and _is_of(pending.request.csr, key):
                return pending.request
        csr = trust.request(key)
        request = JoinRequest(
            token=wish.token.strip(),
            csr=csr,
            name=wish.name,
            facts=wish.facts,
            former=former.chain if former else "",
            proof=_proof(former, ticket.id.encode(), csr).hex() if former else "",
        )
        pending = Pending(url=wish.url, request=request)
        self._disk.write(PENDING, msgspec.json.encode(pending))
        return request


async def renew_late(credentials: Credentials, csr: str, *, registrar: Registrar) -> Issued:
    """Get a new certificate though the old one ran out: prove that we have its key.

    Raises:
        ControlUnreachable: Nobody answers at any address.
        NotOurs: Control refuses, for good.
    """
    identity = credentials.identity
    error: LittoralError = ControlUnreachable("no address of control is known")
    for url in identity.public_urls:
        trust_it = Trusted(url=url, roots=credentials.ca, cluster=identity.cluster)
        try:
            challenge = await registrar.challenge(trust_it, identity.node)
            nonce = bytes.fromhex(challenge.nonce)
            request = RenewRequest(
                chain=credentials.chain,
                csr=csr,
                nonce=challenge.nonce,
                signature=_proof(credentials, nonce, csr).hex(),
            )
            return await registrar.renew(trust_it, identity.node, request)
        except NotOurs:
            raise
        except (LittoralError, ValueError) as failed:
            error = failed if isinstance(failed, LittoralError) else error
    raise error


def _is_of(csr: str, key: str) -> bool:
    return trust.check_request(csr) == trust.pin_of_key(key)


def _proof(credentials: Credentials, nonce: bytes, csr: str) -> bytes:
    return trust.prove(
        credentials.key, holder=trust.holder(credentials.chain), nonce=nonce, csr=csr
    )


def identity_of(answer: JoinAnswer, *, key_us: Micros) -> NodeIdentity:
    """Who the machine is from now on, as control answered."""
    return NodeIdentity(
        node=answer.node,
        name=answer.name,
        site=answer.site,
        cluster=answer.cluster,
        session_url=answer.session_url,
        public_urls=answer.public_urls,
        snapshot_keys=answer.snapshot_keys,
        key_us=key_us,
    )
