"""Blobs over HTTP: for nodes, by addresses that control gave them over the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from fastapi.responses import FileResponse

from littoral.control.route import Call, Public, Route
from littoral.control.worker import Workers
from littoral.domain.errors import UnknownName
from littoral.domain.ports import Blobs, Clock
from littoral.trust import capability


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobApi:
    """The one route that gives bytes.

    ``url_key`` is the key under which addresses were granted.
    """

    blobs: Blobs
    clock: Clock
    workers: Workers
    url_key: bytes

    def routes(self) -> Sequence[Route]:
        """Its operations, for the listener that nodes reach."""
        return (
            Route(
                method="GET",
                path="/node/v1/blobs/{digest}",
                handler=self.get,
                policy=Public("the address itself is the right to fetch it, for an hour"),
                summary="The bytes of a blob, or a range of them.",
                gives=FileResponse,
                query={"until": "When the address ends.", "mac": "Control's grant of it."},
            ),
        )

    async def get(self, call: Call) -> FileResponse:
        """One blob; ranges are served as RFC 9110 says."""
        digest = capability.check(
            call.path["digest"],
            until=call.query.get("until", ""),
            mac=call.query.get("mac", ""),
            now_us=self.clock.wall(),
            key=self.url_key,
        )
        path = await self.workers.files(partial(self.blobs.path, digest))
        if path is None:
            raise UnknownName(f"there is no blob {digest} (any more)")
        headers = {"cache-control": "no-store", "etag": f'"{digest}"'}
        return FileResponse(path, media_type="application/octet-stream", headers=headers)
