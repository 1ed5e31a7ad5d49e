"""Anthropic's errors: bodies and the event that ends a broken stream."""

from typing import Final, final

import msgspec

from littoral.gateway import reply
from littoral.gateway.refusal import Refusal

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
_ENCODE: Final = msgspec.json.Encoder().encode


def type_of(refusal: Refusal) -> str:
    """The error type that Anthropic's clients know."""
    if refusal.code == "budget_exhausted":
        return "billing_error"
    known = _TYPES.get(refusal.status)
    return known or ("api_error" if refusal.status >= 500 else "invalid_request_error")


def error_body(refusal: Refusal, request: str) -> bytes:
    """Encode an error as the ``anthropic`` clients read it."""
    error = {"type": type_of(refusal), "message": refusal.message}
    return _ENCODE({"type": "error", "error": error, "request_id": request})


def error_event(refusal: Refusal, request: str) -> bytes:
    """Encode an error as the event that makes these clients raise."""
    return b"event: error\ndata: %b\n\n" % error_body(refusal, request)


@final
class Anthropic:
    """The voice of Anthropic's API."""

    streams = reply.STREAM
    error_body = staticmethod(error_body)
    error_event = staticmethod(error_event)


ANTHROPIC: Final = Anthropic()
