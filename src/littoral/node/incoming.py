"""Incoming: parts of an offered snapshot, gathered piece by piece until none is missing."""

from collections.abc import Mapping

from littoral.domain.errors import Damaged
from littoral.domain.session import PartPiece
from littoral.domain.snapshot import Manifest, PartRef
from littoral.trust.manifest import check_part


class Incoming:
    """One offer on its way.

    Args:
        token: The signed manifest.
        manifest: The same, read.
        held: Parts that are here already, by digest.
    """

    def __init__(self, token: bytes, manifest: Manifest, held: Mapping[str, bytes]) -> None:
        self.token = token
        self.manifest = manifest
        self._refs: Mapping[str, PartRef] = {ref.sha256: ref for ref in manifest.parts.values()}
        self.parts = {digest: held[digest] for digest in self._refs if digest in held}
        self._pieces: dict[str, bytearray] = {}

    def missing(self) -> tuple[str, ...]:
        """Digests of parts that are not here."""
        return tuple(sorted(set(self._refs) - set(self.parts)))

    def take(self, piece: PartPiece) -> bool:
        """Add bytes; say whether a part is complete with them.

        What does not continue its part, or makes it longer than the manifest says, is dropped.

        Raises:
            Damaged: It is whole and has another digest; it is dropped, too.
        """
        ref = self._refs.get(piece.digest)
        if ref is None or piece.digest in self.parts:
            return False
        if not piece.at:
            self._pieces[piece.digest] = bytearray()
        data = self._pieces.get(piece.digest)
        if data is None or len(data) != piece.at or piece.at + len(piece.piece) > ref.size:
            return False
        data += piece.piece
        if len(data) < ref.size:
            return False
        del self._pieces[piece.digest]
        if not check_part(ref, bytes(data)):
            raise Damaged("a part of it is not what its manifest says")
        self.parts[piece.digest] = bytes(data)
        return True
