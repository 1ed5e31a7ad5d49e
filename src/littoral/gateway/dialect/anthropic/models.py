"""Lists of models in Anthropic's shape."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from littoral.domain.errors import InvalidInput
from littoral.gateway.refusal import Refusal, refuse

PAGE: Final = 20
MAX_PAGE: Final = 1000
_ENCODE: Final = msgspec.json.Encoder().encode


def model_body(name: str, *, created: int) -> bytes:
    """Encode one model; ``created`` is in seconds since the epoch."""
    return _ENCODE(_model(name, created))


def models_body(names: Sequence[str], *, created: int, query: Mapping[str, str]) -> bytes | Refusal:
    """Encode one page of models.

    Args:
        names: All of them, in order.
        created: Seconds since the epoch.
        query: May have ``limit``, ``after_id`` and ``before_id``.
    """
    page = _page(names, query)
    if isinstance(page, Refusal):
        return page
    shown, more = page
    return _ENCODE(
        {
            "data": [_model(name, created) for name in shown],
            "has_more": more,
            "first_id": shown[0] if shown else None,
            "last_id": shown[-1] if shown else None,
        }
    )


def _page(names: Sequence[str], query: Mapping[str, str]) -> tuple[Sequence[str], bool] | Refusal:
    limit = query.get("limit", str(PAGE))
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
        return refuse(InvalidInput, f"limit must be 1 to {MAX_PAGE}", param="limit")
    after, before = query.get("after_id"), query.get("before_id")
    for param, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in names:
            return refuse(InvalidInput, f"no model is named {cursor!r}", param=param)
    rest = list(names)
    if after is not None:
        rest = rest[rest.index(after) + 1 :]
    if before is not None:
        rest = rest[: rest.index(before)] if before in rest else []
        return rest[-int(limit) :], len(rest) > int(limit)
    return rest[: int(limit)], len(rest) > int(limit)


def _model(name: str, created: int) -> dict[str, str | None]:
    """What is not known of a model is null, as the shape allows."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "line": None,
        "capabilities": None,
        "max_input_tokens": None,
        "max_tokens": None,
        "deprecated_at": None,
        "retires_at": None,
    }
