"""One completion of the fake engine under way: whole or streamed, with the faults asked for."""

import anyio
import msgspec

from littoral.engines.child.http import Responder
from littoral.engines.child.reply import Ask, Faults, Reply
from littoral.engines.child.start import CREATED, Start, error

CHOICES = 16


class Work(msgspec.Struct, kw_only=True):
    """One completion under way."""

    ask: Ask
    reply: Reply
    responder: Responder
    start: Start
    chat: bool
    identity: str

    async def run(self) -> None:
        """Wait as long as prefill would, then answer whole or as a stream."""
        if await failed(self.reply.faults, self.responder):
            return
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
        for piece in self.reply.thought:
            await self._spread({"reasoning_content": piece})
        for number, (name, arguments) in enumerate(self.reply.calls):
            await self._spread_call(number, name, arguments)
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

    async def _spread_call(self, number: int, name: str, arguments: str) -> None:
        opening: dict[str, object] = {"name": name, "arguments": ""}
        first: dict[str, object] = {
            "index": number,
            "id": self._call_id(number),
            "type": "function",
            "function": opening,
        }
        await self._spread({"tool_calls": [first]})
        rest: dict[str, object] = {"index": number, "function": {"arguments": arguments}}
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
            "model": self.start.alias,
            "system_fingerprint": "fake",
        }

    def _count(self) -> int:
        return min(max(self.ask.n or 1, 1), CHOICES)

    def _call_id(self, number: int) -> str:
        name = "call_" + self.identity.partition("-")[2]
        return f"{name}_{number}" if number else name

    def _choice(self, index: int) -> object:
        text = "".join(self.reply.pieces)
        choice: dict[str, object] = {"index": index, "finish_reason": self.reply.finish}
        choice["logprobs"] = self._logprobs(list(self.reply.pieces))
        if not self.chat:
            return choice | {"text": text}
        message: dict[str, object] = {"role": "assistant", "content": text, "refusal": None}
        message["annotations"] = []
        if self.reply.thought:
            message["reasoning_content"] = "".join(self.reply.thought)
        if self.reply.calls:
            message["content"] = None
            message["tool_calls"] = [
                {
                    "id": self._call_id(number),
                    "type": "function",
                    "function": {"name": name, "arguments": arguments},
                }
                for number, (name, arguments) in enumerate(self.reply.calls)
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
        content: list[object] = []
        for piece in pieces:
            told: dict[str, object] = {"token": piece, "logprob": -0.1, "bytes": [*piece.encode()]}
            content.append(told | {"top_logprobs": [told] if self.ask.top_logprobs else []})
        return {"content": content, "refusal": None}

    def _usage(self) -> object:
        completion = self.reply.completion_tokens * self._count()
        return {
            "prompt_tokens": self.reply.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.reply.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": len(self.reply.thought) * self._count()
            },
        }


async def failed(faults: Faults, responder: Responder) -> bool:
    """Let go wrong what is to go wrong before an answer; returns whether that was the answer."""
    if faults.status is not None:
        await responder.send(faults.status, error("as directed", "fake"))
        return True
    if faults.before or faults.reset:
        responder.cut(reset=faults.reset)
    if faults.hang:
        await anyio.sleep_forever()
    return False
