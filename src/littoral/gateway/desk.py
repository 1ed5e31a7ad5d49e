"""Desk: what is answered without asking an engine."""

from collections.abc import Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl, unquote

from littoral.domain.errors import InvalidInput, UnknownModel, UnknownName
from littoral.gateway import admission, openapi, realtime, vote
from littoral.gateway.dialect import openai
from littoral.gateway.dialect.anthropic import models as anthropic
from littoral.gateway.dialect.anthropic.voice import ANTHROPIC
from littoral.gateway.dialect.ollama import models as ollama
from littoral.gateway.dialect.ollama.voice import OLLAMA
from littoral.gateway.head import Known
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.table import KeyRow, Tables
from littoral.gateway.voice import Voice

_MODELS: Final = b"/v1/models"
_OPENAPI: Final = b"/openapi.json"
_VERSION: Final = b"anthropic-version"
_SOCKET: Final = refuse(
    InvalidInput,
    f"{realtime.PATH.decode()} is a WebSocket: ask with GET, Connection: Upgrade and "
    "Upgrade: websocket",
)
OLLAMA_PATHS: Final = {
    b"/api/tags": b"GET",
    b"/api/ps": b"GET",
    b"/api/version": b"GET",
    b"/api/show": b"POST",
}
"""What Ollama's clients ask of models, and by which method."""


def serves(url: bytes) -> bool:
    """Whether a path, without its query, is answered here."""
    models = url == _MODELS or url.startswith(_MODELS + b"/")
    return models or url in OLLAMA_PATHS or url == vote.PATH


def parts_of(url: bytes) -> tuple[str, dict[str, str]]:
    """A target's path, and the members of its query."""
    path, _, query = url.decode("ascii", "replace").partition("?")
    return path, dict(parse_qsl(query))


def told_to_all(url: bytes, method: bytes) -> bytes | Refusal | None:
    """What is answered to whoever asks, without a key; None where there is no such thing."""
    if url != _OPENAPI:
        return None
    return openapi.body() if method == b"GET" else wrong_method(method)


def nothing(url: bytes) -> Refusal:
    """The refusal of a path that nobody answers, or not in this way."""
    if url == realtime.PATH:
        return _SOCKET
    return refuse(UnknownName, f"nothing is served at {url.decode('ascii', 'replace')!r}")


def voice_of(url: bytes, known: Known) -> Voice:
    """How who asks at this path, with these headers, wants to be answered."""
    if url.startswith(b"/api/") and not url.startswith(b"/api/v1/"):
        return OLLAMA
    if url.startswith(b"/v1/messages"):
        return ANTHROPIC
    return ANTHROPIC if _VERSION in known else openai.OPENAI


def wrong_method(method: bytes) -> Refusal:
    """The refusal of a method that its path does not take."""
    name = method.decode("ascii", "replace")
    return Refusal(405, "method_not_allowed", f"{name} is not served at this path")


class Question(Protocol):
    """A message, as far as it is read here."""

    method: bytes
    url: bytes
    known: Known
    body: bytes


def show(tables: Tables, key: KeyRow, question: Question) -> bytes | Refusal:
    """List the models that a key may use, or show one, in the caller's dialect."""
    names, created = admission.usable(tables, key), tables.created
    path, _, query = question.url.decode("ascii", "replace").partition("?")
    method = OLLAMA_PATHS.get(path.encode())
    if question.method != (method or b"GET"):
        return wrong_method(question.method)
    if method is not None:
        return _ollama(tables, names, question)
    strange = _VERSION in question.known
    if path == _MODELS.decode():
        if strange:
            return anthropic.models_body(names, created=created, query=dict(parse_qsl(query)))
        return openai.models_body(names, created=created)
    name = unquote(path[len(_MODELS) + 1 :])
    if name not in names:
        return _unknown(name, names)
    one = anthropic.model_body if strange else openai.model_body
    return one(name, created=created)


def _ollama(tables: Tables, names: Sequence[str], question: Question) -> bytes | Refusal:
    created = tables.created
    match question.url.partition(b"?")[0]:
        case b"/api/version":
            return ollama.version_body()
        case b"/api/tags":
            return ollama.tags_body(names, created=created)
        case b"/api/ps":
            return ollama.running_body(tables.models[name] for name in names)
        case _:
            name = ollama.asked_for(question.body)
            if isinstance(name, Refusal):
                return name
            if name not in names:
                return _unknown(name, names)
            return ollama.shown_body(tables.models[name], created=created)


def _unknown(name: str, names: Sequence[str]) -> Refusal:
    known = ", ".join(names[:50]) or "none"
    return refuse(UnknownModel, f"no model named {name!r}; this key may use: {known}")
