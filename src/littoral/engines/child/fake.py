"""The fake engine's process: an OpenAI-compatible server that needs no weights."""

import hashlib
import hmac
import sys
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, TypeVar, cast, final

import anyio
import msgspec

from littoral.domain.errors import LittoralError
from littoral.engines.child import retrieval, sound
from littoral.engines.child.completion import Work, failed
from littoral.engines.child.http import Call, Responder, serve
from littoral.engines.child.lifeline import tie
from littoral.engines.child.reply import Ask, answer, faults_of
from littoral.engines.child.start import CREATED, Start, error

T = TypeVar("T")
Answerer: TypeAlias = Callable[[bytes, Start, str], retrieval.Object]
"""From a body, how the engine was started and the request's identity, to what is answered."""


def main(line: bytes) -> None:
    """Serve until killed.

    Args:
        line: The parent's one line, a ``Start`` as JSON.
    """
    start = msgspec.json.decode(line, type=Start)
    tie(start.parent)
    anyio.run(_run, start)


async def _run(start: Start) -> None:
    async with anyio.create_task_group() as group:
        port = cast("int", await group.start(serve, FakeServer(start).handle))
        sys.stdout.write(msgspec.json.encode({"port": port}).decode() + "\n")
        sys.stdout.flush()


def _reader(kind: type[T]) -> Callable[[bytes], T]:
    return msgspec.json.Decoder(kind).decode


_embeddings = _reader(retrieval.Embeddings)
_rerank = _reader(retrieval.Rerank)
_score = _reader(retrieval.Score)
_moderations = _reader(retrieval.Moderations)
_tokenize = _reader(retrieval.Tokenize)
_detokenize = _reader(retrieval.Detokenize)

ANSWERERS: Final[Mapping[str, Answerer]] = {
    "/v1/embeddings": lambda body, start, _: retrieval.embed(
        _embeddings(body), model=start.alias, context=start.context
    ),
    "/v1/rerank": lambda body, start, identity: retrieval.rerank(
        _rerank(body), model=start.alias, identity=identity
    ),
    "/v1/score": lambda body, start, identity: retrieval.score(
        _score(body), model=start.alias, identity=identity, created=CREATED
    ),
    "/v1/moderations": lambda body, start, identity: retrieval.moderate(
        _moderations(body), model=start.alias, identity=identity
    ),
    "/v1/tokenize": lambda body, start, _: retrieval.tokenize(
        _tokenize(body), context=start.context
    ),
    "/v1/detokenize": lambda body, _, __: retrieval.detokenize(_detokenize(body)),
}
"""What is answered at once, by path."""


@final
class FakeServer:
    """Answers every request the same way each time it is asked."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._slots = anyio.CapacityLimiter(start.slots)
        self._bearer = f"Bearer {start.key}".encode()

    async def handle(self, call: Call, responder: Responder) -> None:
        """Answer one request."""
        if call.target == "/health":
            await responder.send(200, b'{"status":"ok"}')
            return
        given = call.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._bearer):
            await responder.send(401, error("the key is wrong", "invalid_api_key"))
            return
        match call.method, call.target.partition("?")[0]:
            case "GET", "/v1/models":
                await responder.send(200, self._models())
            case "POST", "/v1/chat/completions" | "/v1/completions" as path:
                await self._complete(call, responder, chat=path.endswith("chat/completions"))
            case "POST", "/v1/audio/transcriptions" | "/v1/audio/translations" as path:
                await self._hear(call, responder, translate=path.endswith("translations"))
            case "POST", "/v1/audio/speech":
                await self._speak(call, responder)
            case "POST", path if path in ANSWERERS:
                await self._answer(call, responder, ANSWERERS[path])
            case _:
                await responder.send(404, error(f"no route {call.target!r}", "not_found"))

    def _models(self) -> bytes:
        model: dict[str, object] = {
            "id": self._start.alias,
            "object": "model",
            "created": CREATED,
            "owned_by": "littoral",
        }
        return msgspec.json.encode({"object": "list", "data": [model]})

    async def _answer(self, call: Call, responder: Responder, answerer: Answerer) -> None:
        body = bytes(call.body)
        if self._start.directives:
            faults = faults_of(body.decode("utf-8", "replace"))
            if await failed(faults, responder):
                return
        try:
            said = answerer(body, self._start, _identity(body))
        except (msgspec.DecodeError, ValueError) as fault:
            await responder.send(400, error(str(fault), "invalid_request"))
            return
        except retrieval.TooLong as fault:
            await responder.send(400, error(str(fault), "context_length_exceeded"))
            return
        async with self._slots:
            await anyio.sleep(self._start.ttft_ms / 1000)
            await responder.send(200, msgspec.json.encode(said))

    async def _hear(self, call: Call, responder: Responder, *, translate: bool) -> None:
        try:
            heard = sound.hear(bytes(call.body), translate=translate)
        except (LittoralError, ValueError) as fault:
            await responder.send(400, error(str(fault), "invalid_request"))
            return
        async with self._slots:
            await anyio.sleep(self._start.ttft_ms / 1000)
            if not heard.streamed:
                await responder.send(200, msgspec.json.encode(sound.told(heard)))
                return
            for piece in sound.pieces_of(heard):
                event = {"type": "transcript.text.delta", "delta": piece}
                await responder.event(msgspec.json.encode(event))
                await anyio.sleep(self._start.tpot_ms / 1000)
            done = {"type": "transcript.text.done", "text": heard.text, "usage": heard.usage}
            await responder.event(msgspec.json.encode(done))
            await responder.event(b"[DONE]")
            await responder.end()

    async def _speak(self, call: Call, responder: Responder) -> None:
        try:
            ask = msgspec.json.decode(bytes(call.body), type=sound.Speech)
            samples = sound.samples_of(ask)
            said = sound.spoken(ask, samples)
        except (msgspec.DecodeError, ValueError) as fault:
            await responder.send(400, error(str(fault), "invalid_request"))
            return
        async with self._slots:
            await anyio.sleep(self._start.ttft_ms / 1000)
            if ask.stream_format == "audio":
                media = {"Content-Type": sound.FORMATS[ask.response_format]}
                await responder.send(200, said, headers=media)
                return
            for event in sound.events_of(ask, said):
                await responder.event(msgspec.json.encode(event))
            await responder.end()

    async def _complete(self, call: Call, responder: Responder, *, chat: bool) -> None:
        try:
            ask = msgspec.json.decode(bytes(call.body), type=Ask)
        except (msgspec.DecodeError, msgspec.ValidationError) as fault:
            await responder.send(400, error(str(fault), "invalid_request"))
            return
        if (ask.messages if chat else ask.prompt) is None:
            what = "messages" if chat else "prompt"
            await responder.send(400, error(f"{what!r} is missing", "invalid_request"))
            return
        reply = answer(
            ask, directives=self._start.directives, default_tokens=self._start.max_tokens
        )
        if reply.prompt_tokens >= self._start.context:
            text = f"{reply.prompt_tokens} tokens do not fit {self._start.context}"
            await responder.send(400, error(text, "context_length_exceeded"))
            return
        async with self._slots:
            work = Work(
                ask=ask,
                reply=reply,
                responder=responder,
                start=self._start,
                chat=chat,
                identity=("chatcmpl-" if chat else "cmpl-") + _identity(bytes(call.body)),
            )
            await work.run()


def _identity(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:24]
