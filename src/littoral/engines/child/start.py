"""How a fake engine is started, and how it says what is wrong."""

import msgspec

CREATED = 1_700_000_000
"""Answers are equal byte for byte, so their time is fixed."""


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input."""

    parent: int
    key: str
    alias: str
    slots: int
    context: int
    max_tokens: int
    directives: bool = False
    ttft_ms: float = 0.0
    tpot_ms: float = 0.0


def error(message: str, code: str) -> bytes:
    """Encode an error as OpenAI does."""
    inner: dict[str, object] = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": code,
    }
    return msgspec.json.encode({"error": inner})
