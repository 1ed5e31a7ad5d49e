"""Vault: seals what must not be read from the database, each value bound to its place."""

from littoral.domain.ports import Entropy
from littoral.trust import envelope


class Vault:
    """Seal and open small values under the master key.

    Args:
        master_key: 32 random bytes, from a file that only we may read.
        entropy: Where nonces come from.
    """

    def __init__(self, master_key: bytes, entropy: Entropy) -> None:
        self._key = envelope.derive(master_key, purpose="kek")
        self._entropy = entropy

    def seal(self, plain: bytes, *place: str) -> bytes:
        """Seal ``plain`` so that it opens at ``place`` only."""
        return envelope.seal(
            plain, key=self._key, place=place, nonce=self._entropy.bytes(envelope.NONCE_BYTES)
        )

    def open(self, sealed: bytes, *place: str) -> bytes:
        """Open what was sealed for ``place``.

        Raises:
            Damaged: It was sealed elsewhere, with another key, or was changed.
        """
        return envelope.unseal(sealed, key=self._key, place=place)
