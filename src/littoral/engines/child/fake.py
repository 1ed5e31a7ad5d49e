"""The fake engine's process: an OpenAI-compatible server that needs no weights."""

import hashlib
import hmac
import sys
from typing import cast, final

import anyio
import msgspec

from littoral.engines.child.http import Call, Responder, serve
from littoral.engines.child.lifeline import tie
from littoral.engines.child.reply import Ask, Reply, answer

CREATED = 1_700_000_000
"""Answers are equal byte for byte, so their time is fixed."""
CHOICES = 16


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input."""

    parent: int
    key: str
    model: str
    slots: int
    context: int
    max_tokens: int
    directives: bool = False
    ttft_ms: float = 0.0
    tpot_ms: float = 0.0


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
            await responder.send(401, _error("the key is wrong", "invalid_api_key"))
            return
        match call.method, call.target.partition("?")[0]:
            case "GET", "/v1/models":
                await responder.send(200, self._models())
            case "POST", "/v1/chat/completions" | "/v1/completions" as path:
                await self._complete(call, responder, chat=path.endswith("chat/completions"))
            case _:
                await responder.send(404, _error(f"no route {call.target!r}", "not_found"))

    def _models(self) -> bytes:
        model: dict[str, object] = {
            "id": self._start.model,
            "object": "model",
            "created": CREATED,
            "owned_by": "littoral",
        }
        return msgspec.json.encode({"object": "list", "data": [model]})

    async def _complete(self, call: Call, responder: Responder, *, chat: bool) -> None:
        try:
            ask = msgspec.json.decode(bytes(call.body), type=Ask)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            await responder.send(400, _error(str(error), "invalid_request"))
            return
        if (ask.messages if chat else ask.prompt) is None:
            what = "messages" if chat else "prompt"
            await responder.send(400, _error(f"{what!r} is missing", "invalid_request"))
            return
        reply = answer(
            ask, directives=self._start.directives, default_tokens=self._start.max_tokens
        )
        if reply.prompt_tokens >= self._start.context:
            text = f"{reply.prompt_tokens} tokens do not fit {self._start.context}"
            await responder.send(400, _error(text, "context_length_exceeded"))
            return
        identity = hashlib.sha256(call.body).hexdigest()[:24]
        async with self._slots:
            work = _Work(
                ask=ask,
                reply=reply,
                responder=responder,
                start=self._start,
                chat=chat,
                identity=("chatcmpl-" if chat else "cmpl-") + identity,
            )
            await work.run()


class _Work(msgspec.Struct, kw_only=True):
    """One completion under way."""

    ask: Ask
    reply: Reply
    responder: Responder
    start: Start
    chat: bool
    identity: str

    async def run(self) -> None:
        """Wait as long as prefill would, then answer whole or as a stream."""
        faults = self.reply.faults
        if faults.status is not None:
            await self.responder.send(faults.status, _error("as directed", "fake"))
            return
        if faults.before or faults.reset:
            self.responder.cut(reset=faults.reset)
        if faults.hang:
            await anyio.sleep_forever()
        await anyio.sleep(self.start.ttft_ms / 1000)
        if self.ask.stream:
            await self._stream()
        else:
            await self._whole()

    async def _pause(self) -> None:
        slow = self.reply.faults.slow_ms
        await anyio.sleep((self.start.tpot_ms if slow is None else slow) / 1000)

    async def _whole(self) -> None:
        for _ in self.reply.pieces[1:]:
            await self._pause()
        if self.reply.faults.after is not None:
            self.responder.cut()
        choices: list[object] = [self._choice(index) for index in range(self._count())]
        kind = "chat.completion" if self.chat else "text_completion"
        body = {**self._head(kind), "choices": choices, "usage": self._usage()}
        await self.responder.send(200, msgspec.json.encode(body))

    async def _stream(self) -> None:
        if self.chat:
            await self._spread({"role": "assistant", "content": "" if self.reply.pieces else None})
        if self.reply.call is not None:
            await self._spread_call(*self.reply.call)
        for number, piece in enumerate(self.reply.pieces):
            if number == self.reply.faults.after:
                self.responder.cut()
            if number:
                await self._pause()
            await self._spread({"content": piece}, piece=piece)
        if self.reply.faults.after is not None:
            self.responder.cut()
        await self._spread({}, finish=self.reply.finish)
        options = self.ask.stream_options
        if options is not None and options.include_usage:
            await self._event({"choices": [], "usage": self._usage()})
        await self.responder.event(b"[DONE]")
        await self.responder.end()

    async def _spread_call(self, name: str, arguments: str) -> None:
        opening: dict[str, object] = {"name": name, "arguments": ""}
        first: dict[str, object] = {
            "index": 0,
            "id": self._call_id(),
            "type": "function",
            "function": opening,
        }
        await self._spread({"tool_calls": [first]})
        rest: dict[str, object] = {"index": 0, "function": {"arguments": arguments}}
        await self._spread({"tool_calls": [rest]})

    async def _spread(
        self, delta: dict[str, object], *, piece: str = "", finish: str | None = None
    ) -> None:
        for index in range(self._count()):
            choice: dict[str, object] = {"index": index, "finish_reason": finish}
            choice |= {"delta": delta} if self.chat else {"text": piece}
            choice["logprobs"] = self._logprobs([piece]) if piece else None
            await self._event({"choices": [choice]})

    async def _event(self, more: dict[str, object]) -> None:
        event = self._head("chat.completion.chunk" if self.chat else "text_completion") | more
        options = self.ask.stream_options
        if options is not None and options.include_usage:
            event.setdefault("usage", None)
        await self.responder.event(msgspec.json.encode(event))

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "id": self.identity,
            "object": kind,
            "created": CREATED,
            "model": self.start.model,
            "system_fingerprint": "fake",
        }

    def _count(self) -> int:
        return min(max(self.ask.n or 1, 1), CHOICES)

    def _call_id(self) -> str:
        return "call_" + self.identity.partition("-")[2]

    def _choice(self, index: int) -> object:
        text = "".join(self.reply.pieces)
        choice: dict[str, object] = {"index": index, "finish_reason": self.reply.finish}
        choice["logprobs"] = self._logprobs(list(self.reply.pieces))
        if not self.chat:
            return choice | {"text": text}
        message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
        message["annotations"] = []
        if self.reply.call is not None:
            name, arguments = self.reply.call
            function: dict[str, object] = {"name": name, "arguments": arguments}
            message["content"] = None
            message["tool_calls"] = [
                {"id": self._call_id(), "type": "function", "function": function}
            ]
        return choice | {"message": message}

    def _logprobs(self, pieces: list[str]) -> object:
        if self.ask.logprobs is None or self.ask.logprobs is False:
            return None
        if not self.chat:
            return {
                "tokens": [*pieces],
                "token_logprobs": [-0.1 for _ in pieces],
                "top_logprobs": None,
                "text_offset": [len("".join(pieces[:count])) for count in range(len(pieces))],
            }
        content: list[object] = [
            {"token": piece, "logprob": -0.1, "bytes": [*piece.encode()], "top_logprobs": []}
            for piece in pieces
        ]
        return {"content": content, "refusal": None}

    def _usage(self) -> object:
        completion = self.reply.completion_tokens * self._count()
        return {
            "prompt_tokens": self.reply.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.reply.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


def _error(message: str, code: str) -> bytes:
    inner: dict[str, object] = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": code,
    }
    return msgspec.json.encode({"error": inner})
