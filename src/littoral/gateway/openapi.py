"""The OpenAPI document of the data plane, made from the types that read its requests."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final, cast

import msgspec
from msgspec import Struct

from littoral.gateway import (
    decision,
    deferral,
    embedding,
    moderation,
    ranking,
    realtime,
    request,
    speech,
    tokenization,
    vote,
)
from littoral.gateway.dialect.anthropic import body as anthropic
from littoral.gateway.dialect.anthropic.voice import ANTHROPIC
from littoral.gateway.dialect.ollama import body as ollama
from littoral.gateway.dialect.ollama.voice import OLLAMA
from littoral.gateway.dialect.openai import OPENAI
from littoral.gateway.dialect.responses import wish as responses
from littoral.gateway.head import MOST_DEFER_S, MOST_IDEMPOTENCY
from littoral.gateway.named import Named
from littoral.gateway.route import ROUTES
from littoral.gateway.schema import Json, Schemas
from littoral.gateway.voice import Voice

_JSON: Final = "application/json"
_SSE: Final = "text/event-stream"
_LINES: Final = "application/x-ndjson"
_FORM: Final = "multipart/form-data"
_IN_PATH: Final = re.compile(r"\{(\w+)\}")


class Described(Struct, frozen=True):
    """What the document says of a path that asks an engine.

    Args:
        summary: What it does.
        takes: The type of its body.
        streams: The media type of its streams; None where it has none.
        media: The media type of its body.
        gives: The media types of its whole answers.
    """

    summary: str
    takes: type[Struct]
    streams: str | None = None
    media: str = _JSON
    gives: tuple[str, ...] = (_JSON,)


class Shown(Struct, frozen=True):
    """What the document says of a path that the gateway answers itself.

    Args:
        summary: What it does.
        keyed: Whether it needs a key.
        voice: How its errors are said.
        either: Whether it answers in Anthropic's shape to who asks for that.
        takes: The type of its body, if it has one.
        empty: Whether its answer has no body.
        query: Members of the query.
        streams: The media type of its streams; None where it has none.
        session: What is said over the connection once it is upgraded to a WebSocket, if it is.
    """

    summary: str
    keyed: bool = True
    voice: Voice = OPENAI
    either: bool = False
    takes: type[Struct] | None = None
    empty: bool = False
    query: tuple[str, ...] = ()
    streams: str | None = None
    session: "Session | None" = None


class Session(Struct, frozen=True):
    """What the two ends of a WebSocket say: each message is a JSON object with such a ``type``."""

    client: tuple[str, ...]
    server: tuple[str, ...]


_SAID: Final = (_JSON, "text/plain", "application/x-subrip", "text/vtt")
ASKED: Final[Mapping[str, Described]] = {
    "/v1/chat/completions": Described("Chat", request.Chat, _SSE),
    "/v1/completions": Described("Complete a text", request.Completion, _SSE),
    "/v1/responses": Described("Respond", responses.Wish, _SSE),
    "/v1/embeddings": Described("Embed texts", embedding.Embedding),
    "/v1/rerank": Described("Rank documents, in Jina's shape", ranking.Rerank),
    "/v2/rerank": Described("Rank documents, in Cohere's shape", ranking.Rerank),
    "/v1/score": Described("Score pairs of texts", ranking.Score),
    "/v1/moderations": Described("Judge texts", moderation.Moderation),
    "/v1/decisions": Described("Decide questions", decision.Decision),
    "/v1/audio/transcriptions": Described(
        "Write speech down", speech.Transcription, _SSE, _FORM, _SAID
    ),
    "/v1/audio/translations": Described(
        "Write speech down in English", speech.Sound, None, _FORM, _SAID
    ),
    "/v1/audio/speech": Described(
        "Speak a text", speech.Speech, _SSE, gives=("application/octet-stream",)
    ),
    "/tokenize": Described("Tokens of a text or a chat", tokenization.Tokenize),
    "/v1/tokenize": Described("Tokens of a text or a chat", tokenization.Tokenize),
    "/detokenize": Described("The text of tokens", tokenization.Detokenize),
    "/v1/detokenize": Described("The text of tokens", tokenization.Detokenize),
    "/v1/messages": Described("Answer a message, in Anthropic's shape", anthropic.Messages, _SSE),
    "/v1/messages/count_tokens": Described("Count a message's tokens", anthropic.Count),
    "/api/chat": Described("Chat, in Ollama's shape", ollama.Chat, _LINES),
    "/api/generate": Described("Answer a prompt, in Ollama's shape", ollama.Generate, _LINES),
    "/api/embed": Described("Embed texts, in Ollama's shape", ollama.Embed),
    "/api/embeddings": Described("Embed a text, in Ollama's older shape", ollama.OldEmbed),
}
"""By the paths of ``ROUTES``; every one takes POST."""
_PAGE: Final = ("limit", "after_id", "before_id")
_DEFERRED: Final = deferral.PATH
_KEPT: Final = "/v1/responses/{response_id}"
SHOWN: Final[Mapping[tuple[str, str], Shown]] = {
    ("get", "/healthz"): Shown("Whether the gateway runs", keyed=False, empty=True),
    ("get", "/readyz"): Shown("Whether it can serve", keyed=False, empty=True),
    ("get", "/openapi.json"): Shown("This document", keyed=False),
    ("get", "/v1/models"): Shown("The models that the key may use", query=_PAGE, either=True),
    ("get", "/v1/models/{model}"): Shown("One of them", either=True),
    ("get", _KEPT): Shown(
        "A stored response, or its events", query=("stream", "starting_after"), streams=_SSE
    ),
    ("delete", _KEPT): Shown("Delete a stored response"),
    ("post", f"{_KEPT}/cancel"): Shown("Cancel a response in the background"),
    ("get", f"{_KEPT}/input_items"): Shown(
        "What a stored response was asked", query=("limit", "after", "order")
    ),
    ("get", _DEFERRED): Shown("Deferred requests, the last one first", query=("limit", "before")),
    ("get", f"{_DEFERRED}/{{deferral_id}}"): Shown("A deferred request"),
    ("delete", f"{_DEFERRED}/{{deferral_id}}"): Shown(
        "Cancel a deferred request, or delete one that has ended"
    ),
    ("post", f"{_DEFERRED}/{{deferral_id}}/cancel"): Shown("Cancel a deferred request"),
    ("get", f"{_DEFERRED}/{{deferral_id}}/result"): Shown(
        "The answer of a deferred request, in the type that it has"
    ),
    ("get", realtime.PATH.decode()): Shown(
        "Transcribe as somebody speaks, over a WebSocket",
        query=("intent", "model"),
        session=Session(realtime.HEARD, realtime.TOLD),
    ),
    ("get", "/api/tags"): Shown("The models that the key may use, in Ollama's shape", voice=OLLAMA),
    ("get", "/api/ps"): Shown("Those of them that run", voice=OLLAMA),
    ("get", "/api/version"): Shown("The version of Ollama's API that is spoken", voice=OLLAMA),
    ("post", "/v1/votes"): Shown(
        "Say how good the answer to a request of this key was", takes=vote.Ballot
    ),
    ("post", "/api/show"): Shown("What is known of one model", voice=OLLAMA, takes=Named),
}
"""By method and path."""

_NOTHING: Final[list[str]] = []
_TEXT: Final[Json] = {"type": "string"}
_NO_TEXT: Final[Json] = {"type": ["string", "null"]}
_ERRORS: Final[Mapping[str, Json]] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code", "request_id"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": _NO_TEXT,
                    "code": _TEXT,
                    "request_id": _TEXT,
                },
            }
        },
    },
    "AnthropicError": {
        "type": "object",
        "required": ["type", "error", "request_id"],
        "properties": {
            "type": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "message"],
                "properties": {"type": _TEXT, "message": _TEXT},
            },
            "request_id": _TEXT,
        },
    },
    "OllamaError": {"type": "object", "required": ["error"], "properties": {"error": _TEXT}},
}
_REFUSED: Final[Mapping[str, str]] = {
    "400": "The request is malformed, or a value outside its range.",
    "401": "No key, or one that is wrong, revoked or expired.",
    "403": "The key may not do this.",
    "404": "No such model for this key.",
    "405": "The path does not take this method.",
    "409": "It does not fit what is there.",
    "413": "The body is too large.",
    "415": "The body is encoded, or of another kind.",
    "422": "No endpoint may ever serve this request.",
    "429": "A limit of the key, its project or the model is reached.",
    "500": "Something failed in the gateway.",
    "502": "The engine failed.",
    "503": "No endpoint can serve this now.",
    "504": "The deadline passed.",
    "507": "The disk has no room for what was to be kept.",
    "default": "Refused, or failed.",
}
_PARAMETERS: Final[Mapping[str, Json]] = {
    "x-littoral-deadline-ms": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "x-littoral-priority": _TEXT,
}
_PATIENCE: Final[Mapping[str, Json]] = {
    "x-littoral-defer": {
        "anyOf": [{"const": "true"}, {"type": "integer", "minimum": 1, "maximum": MOST_DEFER_S}]
    },
    "idempotency-key": {"type": "string", "maxLength": MOST_IDEMPOTENCY},
}
_HEADERS: Final[Mapping[str, str]] = {
    "x-request-id": "The request's name in the ledger and the logs; also as request-id.",
    "x-littoral-route": "Node and endpoint that answer, and why.",
    "x-littoral-predicted-ms": "The median of what was expected, milliseconds.",
    "x-littoral-cost": "The cost; for a stream, what was expected.",
    "x-littoral-ignored": "Fields that were dropped, where there are any.",
    "x-littoral-estimated": "A count in the body that no engine made, where there is one.",
}


@cache
def body() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document())


def document() -> Mapping[str, object]:
    """Describe the data plane as OpenAPI 3.1."""
    schemas = Schemas()
    paths: dict[str, Json] = {
        path: {"post": _asks(path, each, schemas.refer(each.takes))} for path, each in ASKED.items()
    }
    for (method, path), shown in SHOWN.items():
        schema = None if shown.takes is None else schemas.refer(shown.takes)
        operation = {"operationId": _named(method, path), **_shows(path, shown, schema)}
        paths.setdefault(path, {})[method] = operation
    keys: Json = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Littoral data plane",
            "version": "1",
            "description": "The admin API has a document of its own, at /api/v1/openapi.json.",
        },
        "security": [{"bearer": _NOTHING}, {"header": _NOTHING}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**schemas.components, **_ERRORS},
            "headers": {
                name: {"description": text, "schema": _TEXT} for name, text in _HEADERS.items()
            },
            "securitySchemes": keys,
        },
    }


def _asks(path: str, each: Described, schema: Json) -> Json:
    if each.media == _FORM:
        file = {"type": "object", "required": ["file"], "properties": {"file": _file()}}
        schema = {"allOf": [schema, file]}
    content: Json = {media: {"schema": _answer(media)} for media in each.gives}
    if each.streams is not None:
        content[each.streams] = {"schema": _TEXT}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    done: Json = {"description": "Done.", "headers": headers, "content": content}
    parameters = [
        {"name": name, "in": "header", "required": False, "schema": kind}
        for name, kind in _PARAMETERS.items()
    ]
    answers: Json = {"200": done, **_refusals(ROUTES[path.encode()].voice)}
    if path in deferral.PATHS:
        parameters += [
            {"name": name, "in": "header", "required": False, "schema": kind}
            for name, kind in _PATIENCE.items()
        ]
        answers["202"] = {
            "description": "It waits for a place; location is where to ask for it.",
            "content": {_JSON: {"schema": _answer(_JSON)}},
        }
    return {
        "summary": each.summary,
        "operationId": _named("post", path),
        "parameters": parameters,
        "requestBody": {"required": True, "content": {each.media: {"schema": schema}}},
        "responses": answers,
    }


def _shows(path: str, shown: Shown, schema: Json | None) -> Json:
    done: Json = {"description": "Done."}
    if not shown.empty and shown.session is None:
        content: Json = {_JSON: {"schema": _answer(_JSON)}}
        if shown.streams is not None:
            content[shown.streams] = {"schema": _TEXT}
        done["content"] = content
    parameters: list[Json] = [_parameter(name, "query") for name in shown.query]
    parameters += [_parameter(name, "path") for name in cast("list[str]", _IN_PATH.findall(path))]
    if shown.either:
        text = "Where it is sent, the answer has Anthropic's shape."
        parameters.append(_parameter("anthropic-version", "header") | {"description": text})
    found: Json = {
        "summary": shown.summary,
        "parameters": parameters,
        "responses": {"200": done, **_refusals(shown.voice, either=shown.either)},
    }
    if shown.session is not None:
        upgraded = {"description": "The connection is a WebSocket from here on."}
        found["responses"] = {"101": upgraded, **_refusals(shown.voice)}
        found["x-websocket"] = {
            "client": list(shown.session.client),
            "server": list(shown.session.server),
        }
    if path == "/readyz":
        found["responses"] = {"200": done, "503": {"description": "Not now."}}
    if not shown.keyed:
        found["security"] = _NOTHING
    if schema is not None:
        found["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return found


def _parameter(name: str, place: str) -> Json:
    return {"name": name, "in": place, "required": place == "path", "schema": _TEXT}


def _refusals(voice: Voice, *, either: bool = False) -> Json:
    name = {id(ANTHROPIC): "AnthropicError", id(OLLAMA): "OllamaError"}.get(id(voice), "Error")
    schema: Json = {"$ref": f"#/components/schemas/{name}"}
    if either:
        schema = {"anyOf": [schema, {"$ref": "#/components/schemas/AnthropicError"}]}
    content = {_JSON: {"schema": schema}}
    return {status: {"description": text, "content": content} for status, text in _REFUSED.items()}


def _answer(media: str) -> Json:
    if media == _JSON:
        return {"type": "object"}
    return _file() if media == "application/octet-stream" else _TEXT


def _file() -> Json:
    return {"type": "string", "format": "binary"}


def _named(method: str, path: str) -> str:
    words = path.replace("{", "").replace("}", "").replace(".", "/").strip("/").split("/")
    return "_".join([method, *words])
