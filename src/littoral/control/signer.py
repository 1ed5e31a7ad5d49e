"""Signer: the keys that sign snapshots; nodes know two at any time, the present and the next."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from littoral.control.vault import Vault
from littoral.domain.errors import Conflict, Damaged
from littoral.domain.ports import Clock, Entropy, State
from littoral.domain.units import DAY_US, Micros
from littoral.trust.signature import SEED_BYTES, key_id, public_of

ROTATE_AFTER_US = 31 * DAY_US
"""A node that was away for this long still knows one of the two keys."""
_VALUE = "site/signers"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeys:
    """Seeds of the key that signs and of the next one, and when they last changed."""

    present: bytes
    following: bytes
    changed_us: Micros

    @property
    def publics(self) -> Mapping[str, bytes]:
        """Both public keys by id."""
        found = (public_of(seed) for seed in (self.present, self.following))
        return {key_id(public): public for public in found}


class Signer:
    """Holds the signing keys, sealed at rest.

    Args:
        state: Where they are kept.
        vault: Seals them.
        clock: Dates a change.
        entropy: Makes new ones.
    """

    def __init__(self, state: State, vault: Vault, *, clock: Clock, entropy: Entropy) -> None:
        self._state = state
        self._vault = vault
        self._clock = clock
        self._entropy = entropy
        self.keys = self._load() or self._keep(self._seed(), self._seed())

    def rotate(self, *, force: bool = False) -> SigningKeys:
        """Sign with the next key from now on, and make another next one.

        Args:
            force: Even where a node that is away may know neither key then, and has to join again.

        Raises:
            Conflict: The keys changed less than 31 days ago.
        """
        since = self._clock.wall() - self.keys.changed_us
        if since < ROTATE_AFTER_US and not force:
            days = (ROTATE_AFTER_US - since) / DAY_US
            raise Conflict(
                f"these keys can be rotated in {days:.1f} days: until then a node that is away may "
                "not have heard of the next one and would have to join again; force does it now"
            )
        self.keys = self._keep(self.keys.following, self._seed())
        return self.keys

    def _seed(self) -> bytes:
        return self._entropy.bytes(SEED_BYTES)

    def _load(self) -> SigningKeys | None:
        sealed = self._state.value(_VALUE)
        if sealed is None:
            return None
        try:
            return msgspec.msgpack.decode(self._vault.open(sealed, _VALUE), type=SigningKeys)
        except msgspec.MsgspecError as error:
            raise Damaged("the signing keys of snapshots cannot be read") from error

    def _keep(self, present: bytes, following: bytes) -> SigningKeys:
        keys = SigningKeys(present=present, following=following, changed_us=self._clock.wall())
        self._state.put_value(_VALUE, self._vault.seal(msgspec.msgpack.encode(keys), _VALUE))
        return keys
