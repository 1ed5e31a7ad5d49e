"""Authority: the cluster's own certificates, made here, their keys sealed by the vault.

A root counts for ten years and signs intermediates of ninety days, which sign everything else. A
new root is known to all nodes for a while before it signs anything: at most two at a time.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from littoral.control.vault import Vault
from littoral.domain.enrolment import RootView
from littoral.domain.errors import Conflict, InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.ports import Clock, Entropy, State
from littoral.domain.units import DAY_US, Micros
from littoral.trust import certificate as trust

_ROOTS, _MIDDLE = "ca/roots", "ca/intermediate"
SERVER_US = 7 * DAY_US
LEAST_DAYS, MOST_DAYS = 2, 90
"""Days a new root may wait: nodes hear of it when they renew, at least each day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root as it is kept; it signs from ``from_us`` on, and until the next one does."""

    certificate: str
    sealed: str
    from_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Middle:
    """The intermediate as it is kept, and the pin of the root that signed it."""

    certificate: str
    sealed: str
    root: str


class Authority:
    """The certificates of one cluster. Its calls touch the state: one at a time, in a worker.

    Args:
        state: Where they are kept.
        vault: Seals the keys.
        clock: Dates them.
        entropy: Keys and serials.
        cluster: Whose they are.
    """

    def __init__(
        self, state: State, vault: Vault, *, clock: Clock, entropy: Entropy, cluster: str
    ) -> None:
        self._state = state
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self._cluster = cluster

    def bundle(self) -> str:
        """The roots to trust, PEM."""
        return "".join(root.certificate for root in self._roots())

    def pin(self) -> str:
        """The pin of the root that signs now."""
        return trust.pin(self._signing().certificate)

    def show(self) -> Sequence[RootView]:
        """The roots, oldest first."""
        signing = self._signing()
        found: list[RootView] = []
        for root in self._roots():
            before = root.from_us < signing.from_us
            state = "signs" if root == signing else "trusted" if before else "announced"
            life = trust.life_of(root.certificate)
            found.append(
                RootView(
                    pin=trust.pin(root.certificate),
                    state=state,
                    from_us=root.from_us,
                    until_us=life.end_us,
                )
            )
        return found

    def rotate(self, days: int) -> Sequence[RootView]:
        """Announce a new root that signs in ``days`` days.

        Raises:
            InvalidInput: The days are out of range.
            Conflict: Two roots are known already.
        """
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise InvalidInput(
                f"overlap_days: {days} is not {LEAST_DAYS} to {MOST_DAYS}", param="overlap_days"
            )
        known = self._roots()
        if len(known) > 1:
            raise Conflict(
                "two roots are known already: the older one is dropped as long after the newer one "
                "began to sign as this one waited; see: littoral ca show"
            )
        from_us = Micros(self._clock.wall() + days * DAY_US)
        self._keep((*known, self._new_root(from_us)))
        return self.show()

    def issue(self, csr: str, node: NodeId) -> tuple[str, trust.Life]:
        """Sign a node's request: its chain, and the life of its first certificate.

        Raises:
            InvalidInput: The request is not a good one.
        """
        issuer = self._issuer()
        life = self._life(trust.LEAF_US)
        made = trust.leaf(csr, issuer, node=node, cluster=self._cluster, life=life)
        return made + issuer.certificate, trust.life_of(made)

    def server(self, names: Sequence[str]) -> trust.Issuer:
        """A certificate chain for control's own listeners, and its key."""
        issuer = self._issuer()
        key = trust.make_key(self._entropy.bytes(trust.KEY_BYTES))
        life = self._life(SERVER_US)
        made = trust.server(key, issuer, cluster=self._cluster, names=names, life=life)
        return trust.Issuer(certificate=made + issuer.certificate, key=key)

    def _roots(self) -> tuple[Root, ...]:
        """The roots kept, without one whose time is over; made where there is none."""
        kept = self._state.value(_ROOTS)
        if kept is None:
            first = (self._new_root(self._clock.wall()),)
            self._keep(first)
            return first
        roots = msgspec.json.decode(kept, type=tuple[Root, ...])
        if len(roots) < 2 or self._clock.wall() < self._dropped_us(roots):
            return roots
        self._keep(roots[1:])
        return roots[1:]

    def _dropped_us(self, roots: Sequence[Root]) -> Micros:
        """The old one goes as long after the change as the new one was known before it."""
        newer = roots[1]
        announced = trust.life_of(newer.certificate).begin_us + trust.EARLY_US
        return Micros(newer.from_us + max(0, newer.from_us - announced))

    def _signing(self) -> Root:
        now = self._clock.wall()
        roots = self._roots()
        return max((root for root in roots if root.from_us <= now), key=_since, default=roots[0])

    def _new_root(self, from_us: Micros) -> Root:
        key = trust.make_key(self._entropy.bytes(trust.KEY_BYTES))
        made = trust.root(key, cluster=self._cluster, life=self._life(trust.ROOT_US))
        return Root(certificate=made, sealed=self._sealed(key, trust.pin(made)), from_us=from_us)

    def _issuer(self) -> trust.Issuer:
        """The intermediate that signs now; a new one after half of its life, or of a new root."""
        root = self._signing()
        pin = trust.pin(root.certificate)
        kept = self._state.value(_MIDDLE)
        middle = msgspec.json.decode(kept, type=Middle) if kept else None
        if middle is not None and middle.root == pin and self._young(middle.certificate):
            return self._opened(middle.certificate, middle.sealed)
        key = trust.make_key(self._entropy.bytes(trust.KEY_BYTES))
        above = self._opened(root.certificate, root.sealed)
        life = self._life(trust.INTERMEDIATE_US)
        made = trust.intermediate(key, above, cluster=self._cluster, life=life)
        new = Middle(certificate=made, sealed=self._sealed(key, trust.pin(made)), root=pin)
        self._state.put_value(_MIDDLE, msgspec.json.encode(new))
        return trust.Issuer(certificate=made, key=key)

    def _young(self, certificate: str) -> bool:
        life = trust.life_of(certificate)
        return self._clock.wall() < (life.begin_us + life.end_us) // 2

    def _life(self, us: int) -> trust.Life:
        noise = self._entropy.bytes(trust.SERIAL_BYTES)
        return trust.life(noise, now_us=self._clock.wall(), us=us)

    def _keep(self, roots: Sequence[Root]) -> None:
        self._state.put_value(_ROOTS, msgspec.json.encode(tuple(roots)))

    def _sealed(self, key: str, pin: str) -> str:
        return base64.b64encode(self._vault.seal(key.encode(), "ca", pin, "key")).decode()

    def _opened(self, certificate: str, sealed: str) -> trust.Issuer:
        plain = self._vault.open(base64.b64decode(sealed), "ca", trust.pin(certificate), "key")
        return trust.Issuer(certificate=certificate, key=plain.decode())


def _since(root: Root) -> Micros:
    return root.from_us
