"""Deferred: the requests that wait at a node, asked of its data plane."""

from ssl import SSLContext
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx2
import msgspec

from littoral.client.refusal import refused
from littoral.domain.errors import Unavailable
from littoral.domain.view import DeferralPage, DeferralView

T = TypeVar("T")
TIMEOUT = httpx2.Timeout(30.0, connect=5.0)


class Deferred:
    """What a key's project has deferred at one node; use it as a context.

    Every method raises the ``LittoralError`` that the answer's code names, and ``Unavailable``
    where nobody answers.

    Args:
        url: Where the node listens.
        key: An API key of the project.
        trusted: Whom to trust to be it: a context, or True for the system's authorities.
    """

    def __init__(self, url: str, key: str, *, trusted: SSLContext | bool = True) -> None:
        self._url = url
        self._client = httpx2.Client(
            base_url=f"{url.rstrip('/')}/v1",
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            verify=trusted,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def page(self, *, before: int | None = None, limit: int = 100) -> DeferralPage:
        """Some of them, the last one first, beginning below ``before``."""
        query: dict[str, int] = {"limit": limit}
        if before is not None:
            query["before"] = before
        return self._read("GET", "/deferred", DeferralPage, query=query)

    def show(self, name: str) -> DeferralView:
        """One of them."""
        return self._read("GET", f"/deferred/{quote(name, safe='')}", DeferralView)

    def cancel(self, name: str) -> DeferralView:
        """Cancel one that has not ended; one that has stays as it is."""
        return self._read("POST", f"/deferred/{quote(name, safe='')}/cancel", DeferralView)

    def result(self, name: str) -> bytes:
        """The answer of one that is completed."""
        return self._call("GET", f"/deferred/{quote(name, safe='')}/result")

    def _read(
        self, method: str, path: str, record: type[T], *, query: dict[str, int] | None = None
    ) -> T:
        body = self._call(method, path, query=query)
        try:
            return msgspec.json.decode(body, type=record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unavailable(f"what answers at {self._url} is not Littoral") from error

    def _call(self, method: str, path: str, *, query: dict[str, int] | None = None) -> bytes:
        content = b"" if method == "POST" else None
        try:
            response = self._client.request(method, path, params=query, content=content)
        except httpx2.TransportError as error:
            raise Unavailable(f"nobody answers at {self._url}: {error}") from error
        if not response.is_success:
            raise refused(response)
        return response.content
