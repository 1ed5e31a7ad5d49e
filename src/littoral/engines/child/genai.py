"""What the openvino engine's process serves: chats and completions, many at a time."""

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Literal, TypeAlias, cast, final

import anyio
import msgspec
import openvino_genai

from littoral.engines.child.batching import REFUSED, Batch
from littoral.engines.child.cutting import Cutter
from littoral.engines.child.host import CREATED, Fault, Host, Routes, announce, own_output, read
from littoral.engines.child.http import Call, Responder, serve
from littoral.engines.child.lifeline import tie

Object: TypeAlias = dict[str, object]
CACHE_GB = 1


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input."""

    parent: int
    key: str
    model: str
    alias: str
    threads: int
    slots: int
    context: int
    template: str = ""
    cache_gb: int = CACHE_GB


class Part(msgspec.Struct):
    """A piece of a message."""

    text: str = ""


class Message(msgspec.Struct):
    """One message of a chat."""

    role: str
    content: str | list[Part] | None = None


class Format(msgspec.Struct):
    """The shape of an answer: a schema that is wrong would end the engine, so none is taken."""

    type: Literal["text"] = "text"


class Options(msgspec.Struct):
    """How a stream is to be sent."""

    include_usage: bool = False


class Ask(msgspec.Struct, kw_only=True):
    """A chat, or a completion."""

    messages: list[Message] | None = None
    prompt: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    response_format: Format | None = None
    stream: bool | None = None
    stream_options: Options | None = None


def serve_model(line: bytes) -> None:
    """Load the model and serve until killed.

    Args:
        line: The parent's one line, a ``Start`` as JSON.
    """
    start = msgspec.json.decode(line, type=Start)
    tie(start.parent)
    ready = own_output()
    try:
        pipeline = load(start)
    except RuntimeError as error:
        sys.stderr.write(f"the model cannot be loaded: {error}\n")
        sys.exit(1)
    anyio.run(_run, pipeline, start, ready)


def load(start: Start) -> openvino_genai.ContinuousBatchingPipeline:
    """Load a model; the library tells its format by the ending of its name."""
    schedule = openvino_genai.SchedulerConfig()
    schedule.cache_size = start.cache_gb
    schedule.max_num_seqs = start.slots
    schedule.enable_prefix_caching = True
    properties = {"INFERENCE_NUM_THREADS": start.threads}
    with TemporaryDirectory(prefix="littoral-openvino-") as folder:
        path = Path(folder, "model.gguf")
        path.symlink_to(start.model)
        return openvino_genai.ContinuousBatchingPipeline(str(path), schedule, "CPU", properties)


async def _run(
    pipeline: openvino_genai.ContinuousBatchingPipeline, start: Start, ready: BinaryIO
) -> None:
    desk = Desk(pipeline, start)
    server = Host(alias=start.alias, key=start.key, routes=desk.routes())
    async with anyio.create_task_group() as group:
        group.start_soon(desk.batch.run)
        port = cast("int", await group.start(serve, server.handle))
        announce(ready, {"port": port, "chat": desk.chats})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One request, its prompt as tokens."""

    ask: Ask
    chat: bool
    tokens: Sequence[int]
    config: openvino_genai.GenerationConfig
    identity: str


@final
class Desk:
    """Answers requests.

    Args:
        pipeline: Computes.
        start: How it is to answer.
    """

    def __init__(self, pipeline: openvino_genai.ContinuousBatchingPipeline, start: Start) -> None:
        self.batch = Batch(pipeline)
        self._tokenizer = pipeline.get_tokenizer()
        self._start = start
        self.chats = bool(start.template or self._tokenizer.chat_template)

    def routes(self) -> Routes:
        """What it answers."""
        return {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/v1/tokenize"): self._tokenize,
            ("POST", "/v1/detokenize"): self._detokenize,
        }

    async def _chat(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, Ask)
        if not ask.messages:
            raise Fault("messages must hold at least one", param="messages")
        history = [{"role": each.role, "content": _text(each)} for each in ask.messages]
        prompt = self._tokenizer.apply_chat_template(
            history, add_generation_prompt=True, chat_template=self._start.template
        )
        await self._answer(self._work(call, ask, prompt, chat=True), responder)

    async def _complete(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, Ask)
        given = [ask.prompt] if isinstance(ask.prompt, str) else ask.prompt or []
        if len(given) != 1:
            raise Fault("prompt must be one text", param="prompt")
        await self._answer(self._work(call, ask, given[0], chat=False), responder)

    async def _tokenize(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, TokenizeAsk)
        tokens = self._tokens(ask.prompt, special=ask.add_special_tokens)
        body = {"count": len(tokens), "max_model_len": self._start.context, "tokens": tokens}
        await responder.send(200, msgspec.json.encode(body))

    async def _detokenize(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, DetokenizeAsk)
        await responder.send(200, msgspec.json.encode({"prompt": self._decoded(ask.tokens)}))

    def _work(self, call: Call, ask: Ask, prompt: str, *, chat: bool) -> Work:
        tokens = self._tokens(prompt, special=not chat)
        room = self._start.context - len(tokens)
        if room < 1 or not tokens:
            text = f"the prompt has {len(tokens)} tokens; 1 to {self._start.context - 1} fit"
            raise Fault(text, code="context_length_exceeded")
        cap = ask.max_completion_tokens or ask.max_tokens or room
        return Work(
            ask=ask,
            chat=chat,
            tokens=tokens,
            config=config_of(ask, cap=min(cap, room)),
            identity=("chatcmpl-" if chat else "cmpl-") + sha256(call.body).hexdigest()[:24],
        )

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        found = self._tokenizer.encode(text, add_special_tokens=special)
        return cast("list[list[int]]", found.input_ids.data.tolist())[0]

    def _decoded(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True)

    async def _answer(self, work: Work, responder: Responder) -> None:
        ask, text, tokens, finish = work.ask, "", 0, "stop"
        first = True
        async with aclosing(self._pieces(work)) as pieces:
            async for piece, made, end in pieces:
                finish, tokens = end or finish, made
                if not ask.stream:
                    text += piece
                elif piece or first:
                    await self._event(responder, work, piece, first=first)
                    first = False
        usage: Object = {
            "prompt_tokens": len(work.tokens),
            "completion_tokens": tokens,
            "total_tokens": len(work.tokens) + tokens,
        }
        if not ask.stream:
            body = self._head(work)
            body |= {"choices": [_choice(work, text, finish)], "usage": usage}
            await responder.send(200, msgspec.json.encode(body))
            return
        await self._event(responder, work, "", finish=finish)
        if ask.stream_options is not None and ask.stream_options.include_usage:
            last: Object = {**self._head(work), "choices": [], "usage": usage}
            await responder.event(msgspec.json.encode(last))
        await responder.event(b"[DONE]")
        await responder.end()

    async def _pieces(self, work: Work) -> AsyncGenerator[tuple[str, int, str]]:
        """Sure pieces of the text, how many tokens were made so far, and why it ended."""
        stop = work.ask.stop
        cutter = Cutter([stop] if isinstance(stop, str) else stop or [])
        made: list[int] = []
        async with aclosing(self.batch.generate(work.tokens, work.config)) as outcomes:
            async for outcome in outcomes:
                if outcome.finish.startswith(REFUSED):
                    raise Fault(outcome.finish)
                if outcome.finish not in {"", "stop", "length"}:
                    text = f"the engine failed: {outcome.finish}"
                    raise Fault(text, code="upstream", status=500)
                made += outcome.tokens
                piece = cutter.feed(self._decoded(made), last=bool(outcome.finish))
                yield piece, len(made), "stop" if cutter.stopped else outcome.finish
                if cutter.stopped:
                    return

    async def _event(
        self, responder: Responder, work: Work, piece: str, *, first: bool = False, finish: str = ""
    ) -> None:
        choice: Object = {"index": 0, "logprobs": None, "finish_reason": finish or None}
        if work.chat:
            role = {"role": "assistant"} if first else {}
            choice["delta"] = {} if finish else {**role, "content": piece}
        else:
            choice["text"] = piece
        await responder.event(msgspec.json.encode({**self._head(work), "choices": [choice]}))

    def _head(self, work: Work) -> Object:
        kind, model = "text_completion", self._start.alias
        if work.chat:
            kind = "chat.completion.chunk" if work.ask.stream else "chat.completion"
        return {"id": work.identity, "object": kind, "created": CREATED, "model": model}


class TokenizeAsk(msgspec.Struct, kw_only=True):
    """A request for the tokens of a text."""

    prompt: str
    add_special_tokens: bool = True


class DetokenizeAsk(msgspec.Struct, kw_only=True):
    """A request for the text of tokens."""

    tokens: list[int]


def config_of(ask: Ask, *, cap: int) -> openvino_genai.GenerationConfig:
    """How the answer is to be made."""
    config = openvino_genai.GenerationConfig()
    config.apply_chat_template = False
    config.max_new_tokens = cap
    config.do_sample = ask.temperature > 0
    if ask.temperature > 0:
        config.temperature = ask.temperature
        config.top_p = ask.top_p
        if ask.top_k is not None and ask.top_k > 0:
            config.top_k = ask.top_k
        if ask.seed is not None:
            config.rng_seed = ask.seed % (1 << 31)
    config.presence_penalty = ask.presence_penalty
    config.frequency_penalty = ask.frequency_penalty
    config.repetition_penalty = ask.repetition_penalty
    return config


def _text(message: Message) -> str:
    content = message.content
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _choice(work: Work, text: str, finish: str) -> Mapping[str, object]:
    choice: Object = {"index": 0, "logprobs": None, "finish_reason": finish}
    if work.chat:
        return {**choice, "message": {"role": "assistant", "content": text, "refusal": None}}
    return {**choice, "text": text}
