"""Refusals: the error that an answer names."""

from collections.abc import Iterator, Mapping
from typing import cast

import httpx2
import msgspec

from littoral.domain.errors import LittoralError


def refused(response: httpx2.Response) -> LittoralError:
    """The error that an answer names; an unknown code keeps its message."""
    body: Mapping[str, object] = {}
    try:
        body = msgspec.json.decode(response.content, type=dict[str, dict[str, object]])["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        body = {"message": f"the answer was {response.status_code} without a reason"}
    kinds = {kind.code: kind for kind in _family(LittoralError)}
    kind = kinds.get(cast("str", body.get("code")), LittoralError)
    param = body.get("param")
    error = kind(
        str(body.get("message")),
        param=param if isinstance(param, str) else None,
        retry_after_s=_seconds(response.headers.get("retry-after")),
    )
    request_id = body.get("request_id")
    if kind is LittoralError and request_id:
        error.message += f" (request {request_id})"
    return error


def _family(root: type[LittoralError]) -> Iterator[type[LittoralError]]:
    """Public errors only: what other modules derive has no code of its own."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ == root.__module__:
            yield from _family(kind)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
