"""Caller: one HTTP API of Littoral, asked with a key."""

from collections.abc import Mapping
from ssl import SSLContext
from types import TracebackType
from typing import ClassVar, Self, TypeVar

import httpx2
import msgspec

from littoral.client.refusal import refused
from littoral.domain.errors import Unavailable

T = TypeVar("T")
TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
_JSON = {"content-type": "application/json"}


class Caller:
    """A client of what lies below one path; use it as a context, or ``close`` it.

    Every method raises the ``LittoralError`` that the answer's code names, and ``Unavailable``, or
    a kind of it, where nobody answers.

    Args:
        url: Where Littoral listens (``"http://127.0.0.1:8080"``).
        key: An API key with the scopes that the calls need.
        trusted: Whom to trust to be it: a context, or True for the system's authorities.
        transport: Replaces the network, for tests and unix sockets.
    """

    below: ClassVar[str]
    """The path, without a slash at its end."""
    who: ClassVar[str] = "Littoral"
    """Who should answer there."""
    away: ClassVar[type[Unavailable]] = Unavailable
    """What is raised where somebody else does, or nobody."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        trusted: SSLContext | bool = True,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._url = url
        self._client = httpx2.Client(
            base_url=f"{url.rstrip('/')}{self.below}",
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT,
            verify=trusted,
            transport=transport,
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
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def call(
        self,
        method: str,
        path: str,
        record: type[T],
        *,
        body: object = None,
        query: Mapping[str, str | int | None] | None = None,
    ) -> T:
        """One call of the API: what ``path`` answers, read into a record."""
        content = self.ask(method, path, body=body, query=query)
        try:
            return msgspec.json.decode(content, type=record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.away(f"what answers at {self._url} is not {self.who}") from error

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | int | None] | None = None,
    ) -> bytes:
        """One call of the API: what ``path`` answers, as it came."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        try:
            response = self._client.request(
                method,
                path,
                params=given,
                content=None if body is None else msgspec.json.encode(body),
                headers=None if body is None else _JSON,
            )
        except httpx2.TransportError as error:
            raise self.away(f"nobody answers at {self._url}: {error}") from error
        if not response.is_success:
            raise refused(response)
        return response.content
