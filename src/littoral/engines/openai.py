"""OpenAICompatible: any API that speaks OpenAI's protocol, reached over the network."""

import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Protocol, cast, final, get_args
from urllib.parse import SplitResult, urlsplit

import anyio
import httpx2

from littoral.domain.deployment import UpstreamGrant
from littoral.domain.endpoint import Address, Capability, Endpoint, EngineSpec
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import EndpointId
from littoral.domain.units import Seconds, Tokens

PROBE_S = Seconds(10.0)
SLOTS = 256
BASE = "letters, digits and - . _ ~ / after the host"
OPENED: Sequence[str] = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
)
"""An operator listed the upstream, so it may be on this host or a private network; addresses that
only clouds' own services have stay refused."""
CAPABILITIES: tuple[Capability, ...] = (
    "chat",
    "completions",
    "stream",
    "tools",
    "json_schema",
    "logprobs",
    "many_choices",
)
"""What an upstream is taken to do unless told otherwise: nothing is guessed from its answers."""
FURTHER: tuple[Capability, ...] = tuple(
    each
    for each in cast("tuple[Capability, ...]", get_args(Capability))
    if each not in CAPABILITIES
)
"""What it is taken to do only where ``with`` says so."""
OPTIONS = ("exact", "with", "without")


class Verdict(Protocol):
    """Says why an address may not be dialled, or None: ``trust.address.verdict``."""

    def __call__(self, address: str, *, allowed: Sequence[str]) -> str | None:
        """Judge one numeric address; ``allowed`` are networks that are open on purpose."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An upstream's URL, taken apart."""

    tls: bool
    host: str
    port: int
    base: str


@final
class UpstreamInstance:
    """An upstream that answered."""

    def __init__(self, endpoint: Endpoint, address: Address) -> None:
        self._endpoint = endpoint
        self._address = address

    @property
    def endpoint(self) -> Endpoint:
        """How the gateway reaches it; its state and reason are those of the last probe."""
        return self._endpoint

    @property
    def pid(self) -> int | None:
        """None: it is no process of ours."""
        return None

    async def healthy(self) -> bool:
        """Whether it answers now, and takes the credential."""
        why = await _probe(self._address, credential=self._endpoint.credential)
        state = "degraded" if why else "ready"
        self._endpoint = replace(self._endpoint, state=state, reason=why or "")
        return why is None

    async def wait(self) -> str:
        """Wait for ever: what we did not start does not end here."""
        await anyio.sleep_forever()
        return ""


@final
class OpenAICompatible:
    """The driver of engine ``openai``.

    Args:
        verdict: Judges each address that an upstream's name resolves to.
    """

    def __init__(self, *, verdict: Verdict) -> None:
        self._verdict = verdict

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        assignment = spec.assignment
        taken_apart(_grant(spec))
        for name, value in assignment.options.items():
            _check_option(name, value)
        if assignment.slots is not None and not 1 <= assignment.slots <= 4096:
            raise InvalidInput("slots must be 1 to 4096", param="spec.slots")
        if not assignment.model:
            raise InvalidInput("model must be the upstream's own name of it", param="spec.model")

    @asynccontextmanager
    async def launch(self, spec: EngineSpec) -> AsyncGenerator[UpstreamInstance]:
        """Resolve it, check that its addresses may be dialled, and ask it for its models.

        Raises:
            UpstreamFailed: It does not answer, or refuses the credential.
        """
        self.check(spec)
        grant = _grant(spec)
        place = taken_apart(grant)
        address = Address(
            host=await self._resolve(place),
            port=place.port,
            base=place.base,
            tls=place.host if place.tls else None,
        )
        why = await _probe(address, credential=grant.credential)
        if why is not None:
            raise UpstreamFailed(f"upstream {grant.name!r}: {why}")
        yield UpstreamInstance(_endpoint(spec, address), address)

    async def _resolve(self, place: Place) -> str:
        """The first address of the host, after all of them were judged."""
        try:
            with anyio.fail_after(PROBE_S):
                found = await anyio.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError) as error:
            raise UpstreamFailed(f"{place.host!r} cannot be resolved") from error
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        for address in addresses:
            why = self._verdict(address, allowed=OPENED)
            if why is not None:
                raise UpstreamFailed(f"{place.host!r} may not be dialled: {why}")
        return addresses[0]


def taken_apart(grant: UpstreamGrant) -> Place:
    """Take an upstream's URL apart, strictly.

    Raises:
        InvalidInput: Not ``http`` or ``https``, or with a user, query, fragment or odd path.
    """
    param = "spec.url"
    try:
        parts = urlsplit(grant.url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InvalidInput(f"{grant.url!r} is not a URL: {error}", param=param) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidInput(
            f"{grant.url!r} must be http://host/... or https://host/...", param=param
        )
    if "@" in parts.netloc or "\\" in grant.url or parts.query or parts.fragment:
        raise InvalidInput(
            f"the URL of upstream {grant.name!r} may hold scheme, host, port and path only",
            param=param,
        )
    if not _is_host(host) or not _is_path(parts):
        raise InvalidInput(f"{grant.url!r}: allowed are {BASE}", param=param)
    tls = parts.scheme == "https"
    return Place(tls=tls, host=host, port=port or (443 if tls else 80), base=parts.path.rstrip("/"))


def _is_host(host: str) -> bool:
    try:
        return "%" not in str(ip_address(host))
    except ValueError:
        labels = host.removesuffix(".").split(".")
        words = all(label.replace("-", "").isalnum() and label.isascii() for label in labels)
        return words and len(host) < 254 and not labels[-1].isdecimal()


def _is_path(parts: SplitResult) -> bool:
    path = parts.path
    return path.isascii() and all(letter.isalnum() or letter in "-._~/" for letter in path)


def _check_option(name: str, value: object) -> None:
    param = f"spec.options.{name}"
    if name not in OPTIONS:
        known = ", ".join(OPTIONS)
        raise InvalidInput(f"engine openai has no option {name!r}; known: {known}", param=param)
    if name == "exact":
        if not isinstance(value, bool):
            raise InvalidInput("option 'exact' must be true or false", param=param)
        return
    allowed = FURTHER if name == "with" else CAPABILITIES
    for word in _words(value):
        if word not in allowed:
            known = ", ".join(allowed)
            raise InvalidInput(f"{name} {word!r}: known are {known}", param=param)


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for part in str(value).split(",") if (word := part.strip()))


def _grant(spec: EngineSpec) -> UpstreamGrant:
    grant = spec.assignment.upstream
    if grant is None:
        raise InvalidInput("engine openai needs an upstream", param="spec.upstream")
    return grant


def _endpoint(spec: EngineSpec, address: Address) -> Endpoint:
    assignment = spec.assignment
    more = _words(assignment.options.get("with", ""))
    missing = _words(assignment.options.get("without", ""))
    root = address.base.removesuffix("/v1")
    return Endpoint(
        id=EndpointId(assignment.name),
        deployment=assignment.name,
        serves=assignment.serves,
        engine="openai",
        state="ready",
        address=address,
        credential=_grant(spec).credential,
        engine_model=assignment.model,
        slots=assignment.slots or SLOTS,
        context=assignment.context or Tokens(0),
        max_tokens=assignment.max_tokens,
        capabilities=(
            *(each for each in CAPABILITIES if each not in missing),
            *(each for each in FURTHER if each in more),
        ),
        price_in=assignment.price_in,
        price_out=assignment.price_out,
        remote=True,
        exact=assignment.options.get("exact") is True,
        paths={name: f"{root}/{name}" for name in ("tokenize", "detokenize")},
    )


async def _probe(address: Address, *, credential: str | None) -> str | None:
    """Ask for the list of models; returns why the upstream cannot serve, or None."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"{'https' if address.tls else 'http'}://{host}:{address.port}{address.base}/models"
    headers = {"Host": f"{address.tls or host}:{address.port}", "Accept-Encoding": "identity"}
    if credential:
        headers["Authorization"] = f"Bearer {credential}"
    extensions = {"sni_hostname": address.tls} if address.tls else {}
    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=PROBE_S) as client:
            asked = client.build_request("GET", url, headers=headers, extensions=extensions)
            answer = await client.send(asked, stream=True)
            await answer.aclose()
    except httpx2.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    match answer.status_code:
        case 401 | 403:
            return f"it refuses the credential (status {answer.status_code})"
        case status if status >= 500 or 300 <= status < 400:
            return f"it answers with status {status}"
        case _:
            return None
