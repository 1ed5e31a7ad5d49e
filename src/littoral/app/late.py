"""Late: what a running node needs rarely, and loads only then: its HTTP client, and deltas."""

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from littoral.domain.blob import BlobManifest, DeltaOffer
from littoral.domain.delivery import Answered
from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    Trusted,
)
from littoral.domain.ids import NodeId
from littoral.domain.ports import Blobs
from littoral.domain.registrar import Registrar
from littoral.domain.upkeep import Issued


class LateRegistrar:
    """The port ``Registrar``, over HTTPS, for one that may never be called.

    Args:
        proxy: Through which HTTP proxy control is reached; empty: none.
    """

    def __init__(self, *, proxy: str = "") -> None:
        self._proxy = proxy

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers."""
        return await self._real().authorities(url)

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        return await self._real().join(trust, request)

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await self._real().challenge(trust, node)

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await self._real().renew(trust, node, request)

    def _real(self) -> Registrar:
        from littoral.client.registrar import HttpRegistrar  # noqa: PLC0415  megabytes that few need

        return HttpRegistrar(proxy=self._proxy)


class LateDownloads:
    """The port ``Downloads``, over HTTPS, for a node that has what it needs.

    Args:
        trust: Whom to believe, now; None: plain http, for loopback in tests.
        name: The name that the server's certificate must have, whatever its address.
        proxy: Through which HTTP proxy; empty: none.
    """

    def __init__(
        self, trust: Callable[[], ssl.SSLContext] | None, *, name: str = "", proxy: str = ""
    ) -> None:
        self._trust = trust
        self._name = name
        self._proxy = proxy

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes."""
        from littoral.app.download import HttpsDownloads  # noqa: PLC0415  as above

        real = HttpsDownloads(self._trust, name=self._name, proxy=self._proxy)
        async with real.get(address, begin=begin, end=end, gently=gently) as answered:
            yield answered


class LateRebuilder:
    """Applies deltas, for a node that may never be given one.

    Args:
        blobs: Has the parent, and takes the result.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    async def rebuild(self, delta: DeltaOffer, path: str, manifest: BlobManifest) -> bool:
        """Make the blob of a manifest; False where its parent is gone, or the disk has no room.

        Raises:
            Damaged: The delta does not give that blob.
        """
        from littoral.stores.rebuild import Rebuilder  # noqa: PLC0415  as above

        return await Rebuilder(self._blobs).rebuild(delta, path, manifest)
