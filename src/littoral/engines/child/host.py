"""Host: what the engine processes that serve HTTP themselves have in common."""

import hmac
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import BinaryIO, TypeAlias, TypeVar, cast, final

import anyio
import msgspec

from littoral.engines.child.http import Call, Responder, serve

CREATED = 1_700_000_000
"""Time of creation that is given for what was not created then."""

T = TypeVar("T")
Handler: TypeAlias = Callable[[Call, Responder], Awaitable[None]]
Routes: TypeAlias = Mapping[tuple[str, str], Handler]
"""What answers, by method and path."""


class Fault(Exception):
    """A request that is not served: answered as OpenAI's API says errors.

    Args:
        message: What is wrong, and what is allowed.
        code: The error's public name.
        param: The field that is wrong.
        status: HTTP status.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "invalid_request",
        param: str | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.status = status


@final
class Host:
    """Answers health and the list of models, and hands the rest to its routes.

    Args:
        alias: Name of the only model.
        key: Bearer token that every request but one for health must bring.
        routes: What answers the others.
    """

    def __init__(self, *, alias: str, key: str, routes: Routes) -> None:
        self._alias = alias
        self._bearer = f"Bearer {key}".encode()
        self._routes = routes

    async def handle(self, call: Call, responder: Responder) -> None:
        """Answer one request."""
        path = call.target.partition("?")[0]
        try:
            if path == "/health":
                await responder.send(200, b'{"status":"ok"}')
                return
            self._check_key(call)
            if (call.method, path) == ("GET", "/v1/models"):
                await responder.send(200, self._models())
                return
            await self._route(call, path)(call, responder)
        except Fault as fault:
            await responder.send(fault.status, error_body(fault))

    def _check_key(self, call: Call) -> None:
        given = call.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._bearer):
            raise Fault("the key is wrong", code="invalid_api_key", status=401)

    def _route(self, call: Call, path: str) -> Handler:
        handler = self._routes.get((call.method, path))
        if handler is None:
            known = ", ".join(sorted(path for _, path in self._routes))
            text = f"no route {call.method} {path}; known: {known}"
            raise Fault(text, code="not_found", status=404)
        return handler

    def _models(self) -> bytes:
        model: dict[str, object] = {
            "id": self._alias,
            "object": "model",
            "created": CREATED,
            "owned_by": "littoral",
        }
        return msgspec.json.encode({"object": "list", "data": [model]})


def read(body: bytes | bytearray, record: type[T]) -> T:
    """Read a JSON body into a record.

    Raises:
        Fault: Not JSON, or not of that shape.
    """
    try:
        return msgspec.json.decode(bytes(body), type=record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(f"the body cannot be read: {error}") from error


def error_body(fault: Fault) -> bytes:
    """A fault as OpenAI's API says it."""
    error = {
        "message": str(fault),
        "type": "invalid_request_error" if fault.status < 500 else "api_error",
        "param": fault.param,
        "code": fault.code,
    }
    return msgspec.json.encode({"error": error})


def own_output() -> BinaryIO:
    """Standard output for us alone: what a library prints goes to the log from now on."""
    ready = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return ready


def announce(ready: BinaryIO, report: Mapping[str, object]) -> None:
    """Tell the parent, on one line, what it asked for."""
    ready.write(msgspec.json.encode(report) + b"\n")
    ready.flush()


def host(server: Host, *, ready: BinaryIO, report: Mapping[str, object]) -> None:
    """Serve on loopback until killed; tells the parent the port and what is found in ``report``."""

    async def run() -> None:
        async with anyio.create_task_group() as group:
            port = cast("int", await group.start(serve, server.handle))
            announce(ready, {**report, "port": port})

    anyio.run(run)
