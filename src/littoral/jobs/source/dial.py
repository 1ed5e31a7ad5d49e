"""Guarded GET: every address is judged, dialled as judged, and judged again after a redirect."""

import ipaddress
import socket
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol, final
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import httpx2

from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.units import Seconds

CONNECT_S = Seconds(10.0)
REDIRECTS = 3
MOVED = frozenset({301, 302, 303, 307, 308})


class Verdict(Protocol):
    """Says why an address may not be dialled, or None: ``trust.address.verdict``."""

    def __call__(self, address: str, *, allowed: Sequence[str]) -> str | None:
        """Judge one numeric address; ``allowed`` are networks that are open on purpose."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One GET: its headers, and a token that only the first origin gets to see."""

    url: str
    headers: Mapping[str, str]
    token: str | None = None


@final
class Dialler:
    """Gets URLs that people gave us.

    Args:
        verdict: Judges each address that a name resolves to.
        allowed: Networks that are open on purpose; only there is plain ``http`` allowed.
        idle_s: How long nothing may arrive.
    """

    def __init__(
        self, *, verdict: Verdict, allowed: Sequence[str] = (), idle_s: Seconds = Seconds(60.0)
    ) -> None:
        self._verdict = verdict
        self._allowed = allowed
        self._timeout = httpx2.Timeout(idle_s, connect=CONNECT_S)

    @asynccontextmanager
    async def get(self, ask: Ask) -> AsyncGenerator[httpx2.Response]:
        """Get a URL, following at most three redirects, each one judged anew.

        Raises:
            InvalidInput: Not an ``https`` URL of scheme, host, port, path and query.
            UpstreamFailed: An address that may not be dialled, or too many redirects.
            httpx2.HTTPError: The connection failed.
        """
        url, token = ask.url, ask.token
        async with httpx2.AsyncClient(trust_env=False, timeout=self._timeout) as client:
            for _ in range(REDIRECTS + 1):
                request = await self._request(client, url, headers=ask.headers, token=token)
                answer = await client.send(request, stream=True)
                try:
                    if answer.status_code not in MOVED:
                        yield answer
                        return
                finally:
                    await answer.aclose()
                target = urljoin(url, answer.headers.get("location", ""))
                if _origin(urlsplit(target)) != _origin(urlsplit(url)):
                    token = None
                url = target
        raise UpstreamFailed(f"{ask.url!r} redirects more than {REDIRECTS} times")

    async def _request(
        self,
        client: httpx2.AsyncClient,
        url: str,
        *,
        headers: Mapping[str, str],
        token: str | None,
    ) -> httpx2.Request:
        parts = _parts(url)
        scheme, name, port = _origin(parts)
        address = await self._resolve(name, port, plain=scheme == "http")
        host = f"[{address}]" if ":" in address else address
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Host": parts.netloc, "Accept-Encoding": "identity", **headers}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return client.build_request(
            "GET",
            f"{scheme}://{host}:{port}{path}",
            headers=sent,
            extensions={"sni_hostname": name} if scheme == "https" else {},
        )

    async def _resolve(self, name: str, port: int, *, plain: bool) -> str:
        """The first address of a name, after all of them were judged."""
        try:
            with anyio.fail_after(CONNECT_S):
                found = await anyio.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            raise UpstreamFailed(f"{name!r} cannot be resolved") from error
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        for address in addresses:
            why = self._verdict(address, allowed=self._allowed)
            if why is None and plain and not self._is_allowed(address):
                why = "plain http is not used there; use https"
            if why is not None:
                raise UpstreamFailed(f"{name!r} may not be dialled: {why}")
        return addresses[0]

    def _is_allowed(self, address: str) -> bool:
        networks = [ipaddress.ip_network(text) for text in self._allowed]
        return any(ipaddress.ip_address(address) in network for network in networks)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"{url!r} is not a URL: {error}", param="spec.source") from error
    bad = parts.scheme not in {"http", "https"} or not parts.hostname or port == 0
    if bad or "@" in parts.netloc or parts.fragment or not url.isprintable() or " " in url:
        raise InvalidInput(
            f"{url!r} must be https://host/path, without user or fragment", param="spec.source"
        )
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return (
        parts.scheme,
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
    )
