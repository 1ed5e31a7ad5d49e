"""Public: what machines ask of control before, or after, they have a good certificate.

A table of routes of its own, on a listener of its own: nothing of the admin API answers there.
"""

from collections.abc import Sequence
from functools import partial

from littoral.control.authority import Authority
from littoral.control.enrolment import Enrolments
from littoral.control.fleet import Fleet
from littoral.control.route import Call, Public, Route
from littoral.control.worker import Workers
from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
)
from littoral.domain.upkeep import Issued

MOST_BODY_BYTES = 64 * 1024


class PublicApi:
    """Handlers of joining and late renewal.

    Args:
        enrolments: Does the work.
        authority: Whose roots are shown.
        fleet: Learns what was written.
        workers: Where it is done.
    """

    def __init__(
        self,
        enrolments: Enrolments,
        *,
        authority: Authority,
        fleet: Fleet,
        workers: Workers,
    ) -> None:
        self._enrolments = enrolments
        self._authority = authority
        self._fleet = fleet
        self._workers = workers

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/node/v1/ca",
                handler=self._authorities,
                policy=Public("a machine compares their pin with its token's before it says more"),
                summary="The root certificates of this cluster.",
                gives=Authorities,
            ),
            Route(
                method="POST",
                path="/node/v1/join",
                handler=self._join,
                policy=Public("the join token in the body is judged by the handler"),
                summary="Become a node, with a join token.",
                takes=JoinRequest,
                most_body=MOST_BODY_BYTES,
                gives=JoinAnswer,
                status=201,
            ),
            Route(
                method="POST",
                path="/node/v1/{id}/challenge",
                handler=self._challenge,
                policy=Public("gives random bytes, and the same to everybody"),
                summary="A nonce to sign, before a late renewal.",
                gives=Challenge,
            ),
            Route(
                method="POST",
                path="/node/v1/{id}/renew",
                handler=self._renew,
                policy=Public("the proof of possession in the body is judged by the handler"),
                summary="A new certificate for a node whose last one ran out.",
                takes=RenewRequest,
                most_body=MOST_BODY_BYTES,
                gives=Issued,
            ),
        )

    async def authorities(self) -> Authorities:
        """The roots, PEM."""
        return Authorities(ca=await self._workers.state(self._authority.bundle))

    async def join(self, request: JoinRequest, *, address: str) -> JoinAnswer:
        """Make a machine a node."""
        join = partial(self._enrolments.join, request, address=address)
        answer, rows = await self._workers.state(join)
        for node in rows:
            self._fleet.learn(node)
        return answer

    async def challenge(self, node: str) -> Challenge:
        """A nonce."""
        return self._enrolments.challenge(node)

    async def renew(self, node: str, request: RenewRequest) -> Issued:
        """A new certificate, by proof of possession."""
        renew = partial(self._enrolments.renew_late, node, request)
        issued, rows = await self._workers.state(renew)
        for row in rows:
            self._fleet.learn(row)
        return issued

    async def _authorities(self, call: Call) -> Authorities:
        del call
        return await self.authorities()

    async def _join(self, call: Call) -> JoinAnswer:
        return await self.join(call.read(JoinRequest), address=call.address)

    async def _challenge(self, call: Call) -> Challenge:
        return await self.challenge(call.path["id"])

    async def _renew(self, call: Call) -> Issued:
        return await self.renew(call.path["id"], call.read(RenewRequest))
