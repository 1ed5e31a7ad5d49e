"""Answers: records and errors as HTTP responses, every error in the one shape."""

from dataclasses import dataclass

import msgspec
from fastapi.responses import Response

from littoral.domain.errors import LittoralError

_JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBody:
    """What went wrong, for people and programs."""

    message: str
    type: str
    param: str | None
    code: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """The one shape of every error."""

    error: ErrorBody


def answer(record: object, *, status: int, request_id: str) -> Response:
    """Answer with a record."""
    return Response(
        msgspec.json.encode(record),
        status_code=status,
        media_type=_JSON,
        headers={"x-request-id": request_id, "cache-control": "no-store"},
    )


def refusal(error: LittoralError, *, request_id: str, status: int | None = None) -> Response:
    """Answer with one of our own errors; its message was written for clients."""
    shown = status or error.status
    body = ErrorAnswer(
        error=ErrorBody(
            message=error.message,
            type=type_of(shown),
            param=error.param,
            code=error.code,
            request_id=request_id,
        )
    )
    response = answer(body, status=shown, request_id=request_id)
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    if shown == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def internal(request_id: str) -> Response:
    """Answer for a foreign error: its text never leaves."""
    message = f"something went wrong here; the log names it by the id {request_id}"
    return refusal(LittoralError(message), request_id=request_id)


def type_of(status: int) -> str:
    """The error type that OpenAI's clients know for a status."""
    if status >= 500:
        return "api_error"
    return {403: "permission_error", 429: "rate_limit_error"}.get(status, "invalid_request_error")
