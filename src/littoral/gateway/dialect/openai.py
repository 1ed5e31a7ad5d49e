"""OpenAI's shapes: error bodies, error events and lists of models."""

from collections.abc import Sequence
from typing import Final, final

import msgspec

from littoral.gateway import reply
from littoral.gateway.refusal import Refusal

_TYPES = {403: "permission_error", 429: "rate_limit_error"}
_ENCODE = msgspec.json.Encoder().encode


def type_of(status: int) -> str:
    """The type of an error of this status."""
    return _TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_body(refusal: Refusal, request: str) -> bytes:
    """Encode ``{"error": {...}}`` as openai-python reads it."""
    return _ENCODE(
        {
            "error": {
                "message": refusal.message,
                "type": type_of(refusal.status),
                "param": refusal.param,
                "code": refusal.code,
                "request_id": request,
            }
        }
    )


def error_event(refusal: Refusal, request: str) -> bytes:
    """Encode an error as a server-sent event: only such a frame makes clients raise."""
    return b"data: %b\n\n" % error_body(refusal, request)


@final
class OpenAI:
    """The voice of OpenAI's API, which is also what engines speak."""

    streams = reply.STREAM
    error_body = staticmethod(error_body)
    error_event = staticmethod(error_event)


OPENAI: Final = OpenAI()


def model_body(name: str, *, created: int) -> bytes:
    """Encode one model."""
    return _ENCODE(_model(name, created))


def models_body(names: Sequence[str], *, created: int) -> bytes:
    """Encode a list of models."""
    return _ENCODE({"object": "list", "data": [_model(name, created) for name in names]})


def _model(name: str, created: int) -> dict[str, str | int]:
    return {"id": name, "object": "model", "created": created, "owned_by": "littoral"}
