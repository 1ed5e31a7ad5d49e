"""Routes: each has a policy or control does not start; one gate stands before all of them."""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeAlias, TypeVar, cast, get_args

import anyio
from fastapi import FastAPI
from fastapi.requests import Request
from fastapi.responses import Response

from littoral.control.answer import answer, internal, refusal
from littoral.control.key import Keys
from littoral.control.record import read
from littoral.control.worker import Workers
from littoral.domain.errors import (
    InvalidInput,
    LittoralError,
    TooLarge,
    Unauthenticated,
    UnknownName,
    UnsupportedMedia,
)
from littoral.domain.ids import KeyId, ProjectId, new_id
from littoral.domain.ports import Clock, Entropy
from littoral.domain.project import Principal
from littoral.domain.units import Seconds
from littoral.trust.role import Action, authorize

T = TypeVar("T")
MOST_BODY_BYTES = 4 * 1024 * 1024
BODY_WITHIN = Seconds(30.0)
Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Public:
    """Answers without a key, for the reason given."""

    why: str


@dataclass(frozen=True, slots=True)
class Needs:
    """Answers a key that may do this."""

    action: Action


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Answers any good key; the handler narrows what it sees, as the reason says."""

    why: str


Policy: TypeAlias = Public | Needs | Narrowed
POLICIES = (Public, Needs, Narrowed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that passed the gate; ``address`` is its sender's, empty on a unix socket."""

    principal: Principal
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    address: str = ""

    def read(self, record: type[T]) -> T:
        """Read the body into a record; raises ``InvalidInput``."""
        return read(self.body, record)


Handler: TypeAlias = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation of the API: who may, what it takes, what it gives. There is no default policy.

    ``gives`` is a record, or ``tuple[record, ...]`` which goes out as ``{"items": [...]}``; a
    response that the handler makes itself goes out as it is.
    """

    method: Method
    path: str
    handler: Handler
    policy: Policy
    summary: str
    gives: object
    takes: type[object] | None = None
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    status: int = 200
    most_body: int = MOST_BODY_BYTES


def item_of(gives: object) -> object | None:
    """The member of ``tuple[record, ...]``; None for a lone record."""
    members = cast("tuple[object, ...]", get_args(gives))
    return members[0] if len(members) == 2 and members[1] is Ellipsis else None


class Unguarded(Exception):
    """A route has no policy: control refuses to start."""


_NOBODY = Principal(key=KeyId(""), project=ProjectId(""), scopes=())


class Gate:
    """The one place where a caller becomes a principal and is let through or refused.

    Args:
        keys: Who a key belongs to.
        workers: Where keys are looked up.
        clock: For request ids.
        entropy: For request ids.
        report: Takes a foreign error with the id that the client was given.
    """

    def __init__(
        self,
        keys: Keys,
        workers: Workers,
        *,
        clock: Clock,
        entropy: Entropy,
        report: Callable[[str, BaseException], None],
    ) -> None:
        self._keys = keys
        self._workers = workers
        self._clock = clock
        self._entropy = entropy
        self._report = report

    async def pass_through(self, route: Route, request: Request) -> Response:
        """Answer one request to a route."""
        request_id = self.request_id(request)
        try:
            principal = await self._admitted(route.policy, request)
            call = Call(
                principal=principal,
                path=cast("dict[str, str]", request.path_params),
                query=_query(route, request),
                body=await _read_body(route, request) if route.takes is not None else b"",
                address=request.client.host if request.client else "",
            )
            record = await route.handler(call)
        except LittoralError as error:
            if type(error).code == "internal":
                self._report(request_id, error)
            return refusal(error, request_id=request_id)
        except Exception as error:  # noqa: BLE001  the request edge: the client gets an id, the log the error
            self._report(request_id, error)
            return internal(request_id)
        if isinstance(record, Response):
            record.headers["x-request-id"] = request_id
            return record
        shown = {"items": record} if item_of(route.gives) else record
        return answer(shown, status=route.status, request_id=request_id)

    def request_id(self, request: Request) -> str:
        """The id that the gateway gave the request, else a new one."""
        given = request.headers.get("x-request-id", "")
        if _REQUEST_ID.fullmatch(given):
            return given
        return new_id("req", wall=self._clock.wall(), noise=self._entropy.bytes(10))

    async def _admitted(self, policy: Policy, request: Request) -> Principal:
        match policy:
            case Public():
                return _NOBODY
            case Narrowed():
                return await self._principal(request)
            case Needs(action):
                principal = await self._principal(request)
                authorize(principal, action)
                return principal

    async def _principal(self, request: Request) -> Principal:
        presented = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if presented not in {"", token.strip()}:
                raise InvalidInput("Authorization and x-api-key carry different keys")
            presented = token.strip()
        if not presented:
            raise Unauthenticated("send a key: 'Authorization: Bearer lit-sk-...' or 'x-api-key'")
        return await self._workers.state(partial(self._keys.authenticate, presented))


class _Guarded:
    """A route behind the gate: the only kind of endpoint that ``refuse_unguarded`` accepts."""

    def __init__(self, route: Route, gate: Gate) -> None:
        self._route = route
        self._gate = gate

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        return await self._gate.pass_through(self._route, request)


def build_app(routes: Iterable[Route], gate: Gate) -> FastAPI:
    """Make the ASGI app: these routes behind the gate, and nothing else.

    Raises:
        Unguarded: A route has no policy.
    """
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )
    for route in routes:
        if not isinstance(cast("object", route.policy), POLICIES):
            raise Unguarded(f"{route.method} {route.path} has no policy")
        app.add_route(route.path, _Guarded(route, gate).answer, methods=[route.method])

    async def missing(request: Request, error: Exception) -> Response:
        del error
        return refusal(
            UnknownName(f"there is nothing at {request.method} {request.url.path}"),
            request_id=gate.request_id(request),
        )

    async def other_method(request: Request, error: Exception) -> Response:
        del error
        return refusal(
            InvalidInput(f"{request.url.path} does not take {request.method}"),
            request_id=gate.request_id(request),
            status=405,
        )

    app.add_exception_handler(404, missing)
    app.add_exception_handler(405, other_method)
    refuse_unguarded(app)
    return app


def refuse_unguarded(app: FastAPI) -> None:
    """Walk the app's whole route tree and refuse what has no policy.

    Raises:
        Unguarded: The message names every such path.
    """
    paths = sorted(_unguarded("", app.routes))
    if paths:
        raise Unguarded(f"these routes have no policy: {', '.join(paths)}")


def _unguarded(prefix: str, routes: Sequence[object]) -> Iterator[str]:
    for route in routes:
        path, inner = _inside(route)
        endpoint = cast("object", getattr(route, "endpoint", None))
        if isinstance(getattr(endpoint, "__self__", None), _Guarded):
            continue
        if inner:
            yield from _unguarded(prefix + path, inner)
        else:
            yield prefix + path


def _inside(route: object) -> tuple[str, Sequence[object]]:
    """A route's own part of the path, and the routes inside it: of a mount, or a router."""
    router = cast("object", getattr(route, "original_router", None))
    if router is not None:
        context = cast("object", getattr(route, "include_context", None))
        return str(getattr(context, "prefix", "")), _routes(router)
    return str(getattr(route, "path", type(route).__name__)), _routes(route)


def _routes(holder: object) -> Sequence[object]:
    return cast("Sequence[object]", getattr(holder, "routes", None) or ())


def _query(route: Route, request: Request) -> Mapping[str, str]:
    query = dict(request.query_params.items())
    for name in query:
        if name not in route.query:
            known = ", ".join(sorted(route.query)) or "none"
            raise InvalidInput(f"no query parameter {name!r} here; known: {known}", param=name)
    return query


async def _read_body(route: Route, request: Request) -> bytes:
    with anyio.move_on_after(BODY_WITHIN):
        return await _body(request, route.most_body)
    raise InvalidInput(f"the body did not arrive within {BODY_WITHIN:.0f} s")


async def _body(request: Request, most: int) -> bytes:
    media = request.headers.get("content-type", "application/json").partition(";")[0]
    if media.strip().lower() != "application/json":
        raise UnsupportedMedia(f"send application/json, not {media!r:.80}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise TooLarge(f"a body may have at most {most} bytes")
    return bytes(body)
