"""Registrar over HTTPS: what a machine asks of control outside a session."""

import ssl
from collections.abc import Callable
from typing import TypeVar

import httpx2
import msgspec

from littoral.client.refusal import refused
from littoral.domain.enrolment import (
    Authorities,
    Challenge,
    JoinAnswer,
    JoinRequest,
    RenewRequest,
    Trusted,
    control_host,
)
from littoral.domain.errors import ControlUnreachable, WrongAuthority
from littoral.domain.ids import NodeId
from littoral.domain.upkeep import Issued
from littoral.trust.dates import NO_CHECK_TIME, NOT_YET_VALID

T = TypeVar("T")
TIMEOUT_S = 30.0
CONNECT_S = 10.0
MOST_BYTES = 256 * 1024


class _NotYet(WrongAuthority):
    """The server's certificate does not hold yet by our clock."""


class HttpRegistrar:
    """Adapter of ``Registrar``.

    Args:
        transport: Makes what replaces the network, for tests.
        proxy: Through which HTTP proxy control is reached; empty: none.
    """

    def __init__(
        self,
        transport: Callable[[], httpx2.AsyncBaseTransport] | None = None,
        *,
        proxy: str = "",
    ) -> None:
        self._transport = transport
        self._proxy = proxy or None

    async def authorities(self, url: str) -> Authorities:
        """The roots of whoever answers; nobody is trusted yet."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # whose roots they are is judged by their pin
        return await self._ask(f"{url}/node/v1/ca", context, Authorities)

    async def join(self, trust: Trusted, request: JoinRequest) -> JoinAnswer:
        """Become a node."""
        return await self._post("join", trust, request, record=JoinAnswer)

    async def challenge(self, trust: Trusted, node: NodeId) -> Challenge:
        """Get a nonce to sign."""
        return await self._post(f"{node}/challenge", trust, None, record=Challenge)

    async def renew(self, trust: Trusted, node: NodeId, request: RenewRequest) -> Issued:
        """Get a new certificate by proof of possession."""
        return await self._post(f"{node}/renew", trust, request, record=Issued)

    async def _post(self, path: str, trust: Trusted, body: object, *, record: type[T]) -> T:
        """Ask; once more without regard to dates, where control's certificate does not hold yet.

        Then our clock may be behind, as of a box without a battery. One that seems to have ended is
        refused: an old key may be in other hands.
        """
        url, name = f"{trust.url}/node/v1/{path}", control_host(trust.cluster)
        sent = b"" if body is None else msgspec.json.encode(body)
        try:
            return await self._ask(url, _context(trust), record, name=name, body=sent)
        except _NotYet:
            timeless = _context(trust)
            timeless.verify_flags |= NO_CHECK_TIME
            return await self._ask(url, timeless, record, name=name, body=sent)

    async def _ask(
        self,
        url: str,
        context: ssl.SSLContext,
        record: type[T],
        *,
        name: str | None = None,
        body: bytes | None = None,
    ) -> T:
        client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(TIMEOUT_S, connect=CONNECT_S),
            verify=context,
            trust_env=False,
            proxy=self._proxy,
            transport=self._transport() if self._transport else None,
        )
        try:
            async with client:
                response = await _answer(client, url, name=name, body=body)
        except httpx2.TransportError as error:
            raise _unreached(url, error) from error
        if not response.is_success:
            raise refused(response)
        try:
            return msgspec.json.decode(response.content, type=record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ControlUnreachable(f"what answers at {url} is not Littoral's control") from error


async def _answer(
    client: httpx2.AsyncClient, url: str, *, name: str | None, body: bytes | None
) -> httpx2.Response:
    """The whole answer, if it is not too long."""
    request = client.build_request(
        "GET" if body is None else "POST",
        url,
        content=body or None,
        headers={"content-type": "application/json"} if body else None,
        extensions={"sni_hostname": name} if name else None,
    )
    response = await client.send(request, stream=True)
    try:
        content = bytearray()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise ControlUnreachable(f"the answer of {url} is longer than {MOST_BYTES} bytes")
    finally:
        await response.aclose()
    told = response.headers.get("retry-after")
    headers = {"retry-after": told} if told else None
    return httpx2.Response(response.status_code, headers=headers, content=bytes(content))


def _context(trust: Trusted) -> ssl.SSLContext:
    """Trust these roots, TLS 1.3 only, and check the server's name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=trust.roots)
    return context


def _unreached(url: str, error: Exception) -> ControlUnreachable | WrongAuthority:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        kind = _NotYet if cause.verify_code == NOT_YET_VALID else WrongAuthority
        return kind(f"who answers at {url} is not this cluster's control: {cause.verify_message}")
    return ControlUnreachable(f"nobody answers at {url}: {error}")
