"""Ollama's lists of models; what is not known of a model is empty, as the shape allows."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from littoral.gateway.body import damage, refusal_of
from littoral.gateway.dialect.ollama.ask import named
from littoral.gateway.named import Named
from littoral.gateway.refusal import Refusal
from littoral.gateway.table import ModelRow

VERSION: Final = "0.12.0"
"""The version of Ollama whose API is spoken."""
_ENCODE: Final = msgspec.json.Encoder().encode
_NAMED: Final = msgspec.json.Decoder(Named).decode
_ABILITIES: Final = {"chat": "completion", "tools": "tools", "embeddings": "embedding"}
_DETAILS: Final = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": list[str](),
    "parameter_size": "",
    "quantization_level": "",
}


def version_body() -> bytes:
    """Encode the version."""
    return _ENCODE({"version": VERSION})


def tags_body(names: Sequence[str], *, created: int) -> bytes:
    """Encode the list of models; ``created`` is in seconds since the epoch."""
    moment = _moment(created)
    return _ENCODE({"models": [_model(name) | {"modified_at": moment} for name in names]})


def running_body(rows: Iterable[ModelRow]) -> bytes:
    """Encode the list of models that have an endpoint now."""
    running = [row for row in rows if any(_ready(row))]
    return _ENCODE({"models": [_model(row.name) | _place(row) for row in running]})


def asked_for(data: bytes) -> str | Refusal:
    """Read which model is to be shown."""
    try:
        return damage(data) or named(_NAMED(data).model)
    except ValueError as error:
        return refusal_of(error)


def shown_body(row: ModelRow, *, created: int) -> bytes:
    """Encode what is known of one model."""
    able = {each for place in row.places for each in place.endpoint.capabilities}
    return _ENCODE(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "license": "",
            "details": _DETAILS,
            "model_info": {"general.context_length": _context(row)},
            "capabilities": [word for known, word in _ABILITIES.items() if known in able],
            "modified_at": _moment(created),
        }
    )


def _ready(row: ModelRow) -> Iterable[bool]:
    return (place.endpoint.state in {"ready", "degraded"} for place in row.places)


def _place(row: ModelRow) -> dict[str, int]:
    return {"size_vram": 0, "context_length": _context(row)}


def _context(row: ModelRow) -> int:
    return max((place.context for place in row.places), default=0)


def _model(name: str) -> dict[str, object]:
    return {"name": name, "model": name, "size": 0, "digest": "", "details": _DETAILS}


def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
