"""Renewal: keeps a joined node's certificate good, over the session, else by proof of its key."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import anyio

from littoral.domain.enrolment import REVOKED
from littoral.domain.errors import LittoralError, Revoked, StorageFull
from littoral.domain.ports import Chance, Clock, Disk, Entropy
from littoral.domain.registrar import Registrar
from littoral.domain.units import DAY_US, Micros, Seconds
from littoral.domain.upkeep import Issued, Renew
from littoral.node.backoff import delay
from littoral.node.enrolment import renew_late
from littoral.node.identity import Credentials, IdentityStore
from littoral.node.signal import Signal
from littoral.trust import certificate as trust

LOOK: Final = Seconds(60.0)
"""How often it is looked whether a renewal is due: the clock may jump."""
AGAIN: Final = Seconds(1800.0)
"""After so long a renewal over the session is tried again."""
LATE_FIRST, LATE_CAP = 5.0, 600.0
"""Bounds of the waits between tries once the certificate has run out, seconds."""
ANSWER_WITHIN: Final = Seconds(30.0)
KEY_US: Final = 90 * DAY_US
"""A key that is older is replaced with the next certificate."""
EARLIEST, SPREAD = 0.4, 0.2
"""A certificate is renewed at half of its life, ten per cent of it sooner or later."""
GONE: Final = "this node was revoked: to be one again it must join anew, with a new token"

SOON = 0.2
"""Share of a certificate's life that is left when its end is near."""
RENEWED: Final = ("certificate_renewed", "the certificate was renewed")
LATE: Final = (
    "certificate_renewed_late",
    "the certificate had run out, and was renewed by proof of the key",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What a node that joined keeps its certificate with."""

    credentials: Credentials
    registrar: Registrar
    entropy: Entropy


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalParts:
    """What renewal needs. ``send`` sends control a frame, and says whether there is a session.

    ``clock`` is the node's, corrected by control.
    ``say`` is told what became of the certificate: a code of an event, and a sentence.
    """

    store: IdentityStore
    disk: Disk
    registrar: Registrar
    clock: Clock
    chance: Chance
    entropy: Entropy
    send: Callable[[Renew], Awaitable[bool]]
    say: Callable[[str, str], None]


class Renewal:
    """Renews until told that this node is one no longer.

    Args:
        credentials: Who this node is now.
        parts: The world.
    """

    def __init__(self, credentials: Credentials, parts: RenewalParts) -> None:
        self.credentials = credentials
        self._parts = parts
        self._due = self._next_due()
        self._again = Seconds(0.0)
        self._answer: Issued | None = None
        self._answered = Signal()
        self._doubt = Signal()
        self._doubted = False
        self._ended = False
        self._streak = 0

    def issued(self, frame: Issued) -> None:
        """Control's answer over the session."""
        self._answer = frame
        self._answered.notify()

    def doubted(self) -> None:
        """Control would not speak to this node: ask at once, by proof, whether it still is one."""
        self._doubted = True
        self._doubt.notify()

    def failed(self) -> None:
        """A session failed: where the certificate has run out, that is why; try with each dial."""
        if self._parts.clock.wall() >= self.credentials.life.end_us:
            self._doubt.notify()

    def ended(self) -> None:
        """Control said in an open session that this node is one no longer."""
        self._ended = True
        self._doubt.notify()

    async def run(self) -> None:
        """Renew in time, for ever.

        Raises:
            Revoked: Control says that this node was revoked or replaced; that is written down.
        """
        while True:
            if self._ended:
                self._write_down(GONE)
                raise Revoked(GONE)
            now = self._parts.clock.wall()
            end = self.credentials.life.end_us
            wait = min(LOOK, Seconds((end - now) / 1_000_000)) if now < end else LOOK
            due = now >= self._due and self._parts.clock.now() >= self._again
            if self._doubted or due or now >= end:
                wait = await self._try(now)
            await self._doubt.wait(at_most_s=wait)

    async def _try(self, now: Micros) -> Seconds:
        """Try once; returns how long to wait before the next look."""
        doubted, self._doubted = self._doubted, False
        late = doubted or now >= self.credentials.life.end_us
        try:
            await (self._renew_late(now) if late else self._renew(now))
        except Revoked as error:
            self._write_down(error.message)
            raise
        except LittoralError as error:
            return self._failed(error.message, late=late)
        self._streak = 0
        self._due = self._next_due()
        self._parts.say(*(LATE if late and not doubted else RENEWED))
        return LOOK

    def _write_down(self, why: str) -> None:
        """Let the next start know; where there is no room for it, control tells that one anew."""
        with suppress(StorageFull):
            self._parts.disk.write(REVOKED, why.encode())

    def _failed(self, reason: str, *, late: bool) -> Seconds:
        if not late:
            self._again = Seconds(self._parts.clock.now() + AGAIN)
            if self._ends_soon():
                self._parts.say(
                    "certificate_ending", f"the certificate ends soon and was not renewed: {reason}"
                )
            else:
                self._parts.say("certificate_refused", f"the certificate was not renewed: {reason}")
            return LOOK
        wait = delay(self._streak, first_s=LATE_FIRST, cap_s=LATE_CAP, chance=self._parts.chance)
        self._streak += 1
        self._parts.say(
            "certificate_ended", f"the certificate ran out and was not renewed: {reason}"
        )
        return wait

    def _ends_soon(self) -> bool:
        life, now = self.credentials.life, self._parts.clock.wall()
        return life.end_us - now < SOON * (life.end_us - life.begin_us)

    async def _renew(self, now: Micros) -> None:
        """Over the session; where there is none, later: the certificate is good still."""
        key = self._key(now)
        self._answer = None
        held = f"{self.credentials.life.serial:x}"
        if not await self._parts.send(Renew(csr=trust.request(key), held=held)):
            raise LittoralError("control is not connected")
        with anyio.move_on_after(ANSWER_WITHIN):
            while self._answer is None:
                await self._answered.wait()
        self._take(key, self._answer, now)

    async def _renew_late(self, now: Micros) -> None:
        """By proof of possession, at control's public address."""
        key = self._key(now)
        parts = self._parts
        issued = await renew_late(self.credentials, trust.request(key), registrar=parts.registrar)
        self._take(key, issued, now)

    def _key(self, now: Micros) -> str:
        """The present key, or a new one where it is old."""
        held = self.credentials
        if now - held.identity.key_us < KEY_US:
            return held.key
        return self._parts.store.next_key(self._parts.entropy.bytes(trust.KEY_BYTES))

    def _take(self, key: str, issued: Issued | None, now: Micros) -> None:
        if issued is None:
            raise LittoralError(f"control did not answer within {ANSWER_WITHIN:.0f} s")
        if not issued.chain:
            raise LittoralError(issued.reason or "control gave no certificate")
        identity = self.credentials.identity
        if key != self.credentials.key:
            identity = replace(identity, key_us=now)
        self.credentials = self._parts.store.take(
            identity, key=key, chain=issued.chain, ca=issued.ca
        )

    def _next_due(self) -> Micros:
        life = self.credentials.life
        share = EARLIEST + SPREAD * self._parts.chance.random()
        return Micros(life.begin_us + int((life.end_us - life.begin_us) * share))
