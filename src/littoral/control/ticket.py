"""Tickets: the join tokens of a cluster, each good once and for minutes."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from littoral.control.attempts import Attempts
from littoral.control.authority import Authority
from littoral.control.bounds import refuse, within
from littoral.domain.enrolment import Invitation, Invited, JoinAnswer
from littoral.domain.errors import InvalidInput, LimitReached, WrongToken
from littoral.domain.ids import NAME
from littoral.domain.node import Event, Level
from littoral.domain.ports import Clock, Entropy, Sink, State
from littoral.domain.units import Micros
from littoral.trust import ticket as trust_ticket

_TICKET = "ticket/"
MOST_TICKETS = 1000
MINUTE_US = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketRow:
    """A join token as it is kept; once used, with whose request it was and what was answered."""

    mac: str
    invitation: Invitation
    until_us: Micros
    digest: str = ""
    answer: JoinAnswer | None = None


class Tickets:
    """Makes join tokens and judges them. Its calls touch the state: one at a time, in a worker.

    Args:
        state: Where they are kept.
        authority: Whose root they name.
        clock: When they end.
        entropy: Their secrets.
        sink: Is told of tokens that were made, and of wrong ones.
        key: Makes their MACs.
    """

    def __init__(
        self,
        state: State,
        authority: Authority,
        *,
        clock: Clock,
        entropy: Entropy,
        sink: Sink,
        key: bytes,
    ) -> None:
        self._state = state
        self._authority = authority
        self._clock = clock
        self._entropy = entropy
        self._sink = sink
        self._key = key
        self._attempts = Attempts()

    def make(self, wanted: Invitation, *, url: str) -> Invited:
        """Make a token that is good at ``url``.

        Raises:
            InvalidInput: The site is unknown, a label too long, or the time out of range.
            LimitReached: Too many are open.
        """
        self._check(wanted)
        now = self._clock.wall()
        pin = self._authority.pin()
        ticket = trust_ticket.make(pin, self._entropy.bytes(trust_ticket.NOISE_BYTES))
        until = Micros(now + wanted.minutes * MINUTE_US)
        mac = trust_ticket.mac_of(ticket, key=self._key)
        row = TicketRow(mac=mac.hex(), invitation=wanted, until_us=until)
        self._state.put_values({**self._old(now), **ticket_row(ticket.id, row)})
        self._event("info", "nodes.invited", f"a join token for site {wanted.site} was made")
        return Invited(token=ticket.text, url=url, until_us=until, invitation=wanted)

    def presented(self, text: str, *, address: str) -> tuple[trust_ticket.Ticket, TicketRow]:
        """The token that is presented, and its row.

        Raises:
            InvalidInput: It is none.
            WrongToken: It is unknown or has expired.
            LimitReached: This address was wrong too often.
        """
        now = self._clock.now()
        self._attempts.check(address, now=now)
        ticket = trust_ticket.parse(text)
        kept = self._state.value(_TICKET + ticket.id)
        row = msgspec.json.decode(kept, type=TicketRow) if kept else None
        mac = bytes.fromhex(row.mac) if row else bytes(32)
        good = trust_ticket.good(ticket, mac, key=self._key)
        if row is None or not good or self._clock.wall() > row.until_us:
            self._attempts.failed(address, now=now)
            self._event("warning", "nodes.wrong_token", f"a wrong join token came from {address}")
            raise WrongToken(
                "this join token is not known here, or has expired; make a new one with: "
                "littoral nodes invite"
            )
        return ticket, row

    def _check(self, wanted: Invitation) -> None:
        if self._state.get("Site", wanted.site) is None:
            known = ", ".join(site.metadata.name for site in self._state.list("Site"))
            raise InvalidInput(f"no site is named {wanted.site!r}; known: {known}", param="site")
        within("minutes", wanted.minutes, (1, 1440))
        within("labels", len(wanted.labels), (0, 32))
        for name, value in wanted.labels.items():
            if NAME.fullmatch(name) is None or len(value) > 63:
                raise refuse(f"labels.{name}", "a name of a-z 0-9 . _ -, a value of at most 63")
        if len(self._state.values(_TICKET)) >= MOST_TICKETS:
            raise LimitReached(f"{MOST_TICKETS} join tokens are open; wait until some expire")

    def _old(self, now: Micros) -> Mapping[str, bytes | None]:
        """What removes tokens that expired an hour ago."""
        rows = self._state.values(_TICKET)
        return {
            name: None
            for name, row in rows.items()
            if msgspec.json.decode(row, type=TicketRow).until_us + 60 * MINUTE_US < now
        }

    def _event(self, level: Level, code: str, message: str) -> None:
        self._sink.emit(
            Event(
                at_us=self._clock.wall(), level=level, subject="nodes", code=code, message=message
            )
        )


def ticket_row(ticket: str, row: TicketRow) -> Mapping[str, bytes | None]:
    """What is written of a token."""
    return {_TICKET + ticket: msgspec.json.encode(row)}
