"""Enrolment: join tokens, and what control does for whoever has one or was a node before."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from littoral.control.authority import Authority
from littoral.control.fleet import Fleet, agreed, row_of
from littoral.control.ticket import Tickets, ticket_row
from littoral.domain.enrolment import (
    Challenge,
    Doors,
    Invitation,
    Invited,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    RootView,
)
from littoral.domain.errors import (
    Denied,
    InvalidInput,
    NotOurs,
    Revoked,
    TokenUsed,
    Unavailable,
)
from littoral.domain.ids import NAME, NodeId, new_id
from littoral.domain.node import GONE, Enrolled, Event, Level, Node
from littoral.domain.ports import Clock, Entropy, Failpoints, Sink, State
from littoral.domain.units import DAY_US, Micros
from littoral.domain.upkeep import Issued
from littoral.trust import certificate as trust
from littoral.trust import nonce as trust_nonce
from littoral.trust import ticket as trust_ticket

KEPT = 2
SERIAL: Final = re.compile("[0-9a-f]{1,40}")
"""Certificates of a node that are good at one time: its last, and the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentParts:
    """What enrolment needs. ``ticket_key`` makes the MACs of tokens, ``nonce_key`` of nonces.

    ``snapshot_keys`` gives the public keys that snapshots are signed with, as nodes take them.
    """

    state: State
    authority: Authority
    fleet: Fleet
    clock: Clock
    entropy: Entropy
    failpoints: Failpoints
    sink: Sink
    doors: Doors
    cluster: str
    ticket_key: bytes
    nonce_key: bytes
    snapshot_keys: Callable[[], tuple[str, ...]] = tuple


class Enrolments:
    """Joining and renewal. Its calls touch the state: one at a time, in a worker.

    Args:
        parts: The world.

    Attributes:
        tickets: Makes and judges join tokens.
    """

    def __init__(self, parts: EnrolmentParts) -> None:
        self._parts = parts
        self.tickets = Tickets(
            parts.state,
            parts.authority,
            clock=parts.clock,
            entropy=parts.entropy,
            sink=parts.sink,
            key=parts.ticket_key,
        )
        self._used: dict[bytes, Micros] = {}

    def invite(self, wanted: Invitation) -> Invited:
        """Make a join token.

        Raises:
            InvalidInput: The site is unknown, a label too long, or the time out of range.
            Unavailable: There is nowhere to join.
        """
        doors = self._parts.doors
        if doors.public is None:
            raise Unavailable(
                "no machine can join: set nodes_listen (and session_listen) and start again"
            )
        return self.tickets.make(wanted, url=doors.public_url)

    def join(self, request: JoinRequest, *, address: str) -> tuple[JoinAnswer, tuple[Node, ...]]:
        """Make a machine a node: once for each token, and the same again for the same request.

        Returns:
            The answer, and the rows that were written.

        Raises:
            WrongToken: The token is unknown or has expired.
            TokenUsed: It has made another machine a node.
            InvalidInput: The certificate request or the name will not do.
            LimitReached: This address was wrong too often.
        """
        ticket, row = self.tickets.presented(request.token, address=address)
        digest = hashlib.sha256(request.csr.encode()).hexdigest()
        if row.answer is not None:
            if row.digest != digest:
                raise TokenUsed(
                    "this join token has made another machine a node; make a new one with: "
                    "littoral nodes invite"
                )
            written = self._parts.fleet.written(row.answer.node)
            answer = replace(row.answer, server_us=self._parts.clock.wall())
            return answer, () if written is None else (written,)
        former = self._former(request, ticket)
        name = self._free(request.name, besides=former)
        node, answer = self._made(request, row.invitation, name=name)
        rows = (node, *(_replaced(old, node.id) for old in former))
        spent = replace(row, digest=digest, answer=answer)
        values: dict[str, bytes | None] = dict(ticket_row(ticket.id, spent))
        for each in rows:
            values.update(row_of(each))
        self._parts.state.put_values(values)
        self._parts.failpoints.hit("join.signed")
        told = f"{node.name} ({node.id}) joined site {node.site} as {node.tier} node"
        self._event("info", "node.joined", told, subject=node.id)
        for old in former:
            self._event("info", "node.replaced", f"{old.id} is now {node.id}", subject=old.id)
        return answer, rows

    def challenge(self, node: str) -> Challenge:
        """Give a nonce to prove with that one is a node; whether it is one is not told."""
        parts = self._parts
        noise = parts.entropy.bytes(trust_nonce.NOISE_BYTES)
        made = trust_nonce.make(parts.nonce_key, node, now_us=parts.clock.wall(), noise=noise)
        return Challenge(nonce=made.hex())

    def renew_late(self, name: str, request: RenewRequest) -> tuple[Issued, tuple[Node, ...]]:
        """Give a node whose certificate ran out a new one, by proof that it has the old one's key.

        Raises:
            NotOurs: The nonce, the chain, the proof or the node is not good, or it is too late.
            InvalidInput: Something cannot be read.
        """
        nonce = self._fresh(name, request.nonce)
        now = self._parts.clock.wall()
        certificate = trust.split(request.chain)[0]
        end = trust.life_of(certificate).end_us
        try:
            roots = self._parts.authority.bundle()
            holder = trust.verified(request.chain, roots, at_us=Micros(min(now, end)))
            signature = bytes.fromhex(request.signature)
            trust.check_proof(certificate, signature, nonce=nonce, csr=request.csr)
        except (Denied, ValueError) as error:
            raise NotOurs("the certificate or its proof is not one of this cluster") from error
        if holder.node != name or holder.cluster != self._parts.cluster:
            raise NotOurs("this certificate is another node's")
        node = self._standing(NodeId(name), holder.life)
        days = agreed(self._parts.state, node.site).offline_days
        if now > end + days * DAY_US:
            raise NotOurs(
                f"the certificate ran out more than {days} days ago: join anew with a new token"
            )
        self._used[nonce] = now
        return self.renew(node.id, request.csr, held=f"{holder.life.serial:x}")

    def renew(self, name: NodeId, csr: str, *, held: str = "") -> tuple[Issued, tuple[Node, ...]]:
        """Give a node that is known to be itself a new certificate.

        The one that it has stays good beside it: answers may be lost again and again.

        Args:
            name: Which node.
            csr: What is to be certified.
            held: Serial of the certificate that it has; empty where an older node does not say.

        Raises:
            NotOurs: It is a node no longer, or never needed one.
            InvalidInput: The request will not do.
        """
        parts = self._parts
        node = self._standing(name, None)
        chain, life = parts.authority.issue(csr, name)
        old = node.enrolled.serials if node.enrolled else ()
        enrolled = Enrolled(
            joined_us=node.enrolled.joined_us if node.enrolled else parts.clock.wall(),
            serials=(f"{life.serial:x}", *((held,) if SERIAL.fullmatch(held) else old))[:KEPT],
            until_us=life.end_us,
        )
        renewed = replace(node, enrolled=enrolled)
        parts.state.put_values(row_of(renewed))
        parts.failpoints.hit("renew.issued")
        issued = Issued(chain=chain, ca=parts.authority.bundle(), server_us=parts.clock.wall())
        return issued, (renewed,)

    def rotate(self, days: int) -> Sequence[RootView]:
        """Announce a new root of the cluster that signs in ``days`` days.

        Raises:
            InvalidInput: The days are out of range.
            Conflict: Two roots are known already.
        """
        shown = self._parts.authority.rotate(days)
        told = f"a new root certificate was announced: it signs in {days} days"
        self._event("info", "ca.rotated", told, subject="ca")
        return shown

    def _former(self, request: JoinRequest, ticket: trust_ticket.Ticket) -> tuple[Node, ...]:
        """The node whose place is taken, where the proof of that is good."""
        if not request.former:
            return ()
        certificate = trust.split(request.former)[0]
        begin = trust.life_of(certificate).begin_us
        try:
            roots = self._parts.authority.bundle()
            holder = trust.verified(request.former, roots, at_us=Micros(begin + trust.EARLY_US))
            proof, nonce = bytes.fromhex(request.proof), ticket.id.encode()
            trust.check_proof(certificate, proof, nonce=nonce, csr=request.csr)
        except (Denied, ValueError):
            return ()  # it was a node of another cluster: nobody's place is taken
        node = self._parts.fleet.kept(holder.node)
        return () if node is None or node.mark in GONE else (node,)

    def _made(
        self, request: JoinRequest, wanted: Invitation, *, name: str
    ) -> tuple[Node, JoinAnswer]:
        parts, now = self._parts, self._parts.clock.wall()
        made = NodeId(new_id("nd", wall=now, noise=parts.entropy.bytes(10)))
        chain, life = parts.authority.issue(request.csr, made)
        node = Node(
            id=made,
            name=name,
            state="joined",
            seen_us=Micros(0),
            build=request.facts.build,
            site=wanted.site,
            tier=wanted.tier,
            labels=wanted.labels,
            inventory=request.facts,
            enrolled=Enrolled(joined_us=now, serials=(f"{life.serial:x}",), until_us=life.end_us),
        )
        answer = JoinAnswer(
            node=made,
            name=name,
            site=wanted.site,
            cluster=parts.cluster,
            chain=chain,
            ca=parts.authority.bundle(),
            session_url=parts.doors.session_url,
            public_urls=(parts.doors.public_url,),
            server_us=now,
            snapshot_keys=parts.snapshot_keys(),
        )
        return node, answer

    def _free(self, wanted: str, *, besides: Sequence[Node]) -> str:
        """The name that the machine wishes, with a number behind it where it is taken."""
        if NAME.fullmatch(wanted) is None:
            raise InvalidInput(
                f"{wanted!r} cannot name a node: allowed are 1 to 63 of a-z 0-9 . _ -", param="name"
            )
        gone = {node.id for node in besides}
        taken = {
            node.name
            for node in self._parts.fleet.nodes()
            if node.mark not in GONE and node.id not in gone
        }
        names = (wanted, *(f"{wanted[:58]}-{number}" for number in range(2, len(taken) + 3)))
        return next(name for name in names if name not in taken)

    def _standing(self, name: NodeId, life: trust.Life | None) -> Node:
        """The row of a node that may still get a certificate."""
        node = self._parts.fleet.kept(name)
        if node is None or node.enrolled is None:
            raise NotOurs("this is not a node of this cluster (any more)")
        if node.mark in GONE:
            raise Revoked(
                f"this node was {node.mark}: to be one again it must join anew, with a new token"
            )
        refusal = life and self._parts.fleet.refusal(name, f"{life.serial:x}", until_us=life.end_us)
        if refusal:
            raise NotOurs(refusal)
        return node

    def _fresh(self, whom: str, text: str) -> bytes:
        """The nonce that is presented, if it is one of ours and was not used."""
        now = self._parts.clock.wall()
        self._used = {
            nonce: at for nonce, at in self._used.items() if now - at <= trust_nonce.LIFE_US
        }
        try:
            nonce = bytes.fromhex(text)
        except ValueError:
            nonce = b""
        good = trust_nonce.fresh(nonce, self._parts.nonce_key, whom, now_us=now)
        if not good or nonce in self._used:
            raise NotOurs("this nonce is not a fresh one for this node, or was used; ask for one")
        return nonce

    def _event(self, level: Level, code: str, message: str, *, subject: str = "nodes") -> None:
        self._parts.sink.emit(
            Event(
                at_us=self._parts.clock.wall(),
                level=level,
                subject=subject,
                code=code,
                message=message,
            )
        )


def _replaced(node: Node, by: NodeId) -> Node:
    """The row of a node whose place another took says which."""
    enrolled = None if node.enrolled is None else replace(node.enrolled, replaced_by=by)
    return replace(node, mark="replaced", enrolled=enrolled)
