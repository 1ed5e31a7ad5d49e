"""From what engines answer to Ollama's lines."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, cast, final

import msgspec
from msgspec import Meta, Raw, Struct

from littoral.gateway.asked import Asked
from littoral.gateway.dialect.ollama.body import Generation, OldEmbed
from littoral.gateway.said import Call, Speech, Timings, hear, listen
from littoral.gateway.tally import Usage, whole
from littoral.gateway.voice import Unstreamed

_ENCODE: Final = msgspec.json.Encoder().encode
_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, Raw]).decode


@final
class Generated:
    """The translator of chats.

    Args:
        chat: Whether they are told as messages; else as plain responses.
    """

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Translate a whole reply.

        Raises:
            ValueError: It is no answer to a chat.
        """
        said, counted = hear(data), whole(data)
        choice = said.choices[0] if said.choices else None
        if choice is None or choice.message is None:
            raise ValueError(f"it has no choice with a message: {request}")
        speech = choice.message
        cut = choice.finish_reason == "length"
        calls = [_told(_Call(call), cut=cut) for call in speech.tool_calls or ()]
        text = (speech.content or "") + (speech.refusal or "")
        told = self.told(asked, text, thought=_thought(asked, speech), calls=calls)
        usage = counted.usage if counted is not None else None
        end = _ending(asked, usage, said.timings, reason="length" if cut else "stop")
        return _ENCODE({**told, **end})

    def stream(self, asked: Asked, request: str) -> "Lines":
        """Begin to translate a stream."""
        del request
        return Lines(asked, self)

    def told(
        self, asked: Asked, text: str = "", *, thought: str = "", calls: Sequence[object] = ()
    ) -> Mapping[str, object]:
        """One piece of an answer as Ollama has it, without its end."""
        inner: dict[str, object] = {"role": "assistant"} if self._chat else {}
        inner["content" if self._chat else "response"] = text
        if thought:
            inner["thinking"] = thought
        if calls:
            inner["tool_calls"] = calls
        head: dict[str, object] = {"model": asked.model, "created_at": _moment(asked.began_s)}
        return head | ({"message": inner} if self._chat else inner)


class _Call:
    """A call under way: its name, and the arguments so far."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, call: Call) -> None:
        self.id = call.id
        self.name = self.arguments = ""
        self.add(call)

    def add(self, call: Call) -> None:
        """Take another piece."""
        function = call.function
        if function is not None:
            self.name = self.name or function.name or ""
            self.arguments += function.arguments or ""


@final
class Lines:
    """One stream under way; calls of tools are told once they are whole.

    Args:
        asked: What was asked.
        translator: Whose pieces these are.
    """

    def __init__(self, asked: Asked, translator: Generated) -> None:
        self._asked = asked
        self._translator = translator
        self._calls: list[_Call] = []
        self._open: dict[int, _Call] = {}
        self._reason = ""
        self._timings: Timings | None = None
        self._pieces = 0

    def take(self, events: bytes) -> bytes:
        """Translate whole events.

        Raises:
            ValueError: An event is none of a chat, or says that the engine failed.
        """
        out = b""
        for said in listen(events):
            self._timings = said.timings or self._timings
            for choice in said.choices:
                if choice.index == 0:
                    self._reason = choice.finish_reason or self._reason
                    if choice.delta is not None:
                        out += self._add(choice.delta)
        return out

    def end(self, usage: Usage | None) -> bytes:
        """Tell the calls, then what was used and why it stopped.

        Raises:
            ValueError: A call has no name, or arguments that are no JSON object.
        """
        asked, cut = self._asked, self._reason == "length"
        usage = usage or Usage(0, 0, self._pieces)
        calls = [_told(call, cut=cut) for call in self._calls]
        out = self._line(self._translator.told(asked, calls=calls)) if calls else b""
        end = _ending(asked, usage, self._timings, reason="length" if cut else "stop")
        return out + _ENCODE({**self._translator.told(asked), **end}) + b"\n"

    def _add(self, delta: Speech) -> bytes:
        for call in delta.tool_calls or ():
            self._add_call(call)
        text, thought = (delta.content or "") + (delta.refusal or ""), _thought(self._asked, delta)
        if not text and not thought:
            return b""
        self._pieces += 1
        return self._line(self._translator.told(self._asked, text, thought=thought))

    def _add_call(self, call: Call) -> None:
        index = call.index or 0
        known = self._open.get(index)
        if known is None or (call.id and known.id and call.id != known.id):
            self._open[index] = begun = _Call(call)
            self._calls.append(begun)
        else:
            known.add(call)

    def _line(self, told: Mapping[str, object]) -> bytes:
        return _ENCODE({**told, "done": False}) + b"\n"


class _Vector(Struct):
    embedding: list[float]
    index: Annotated[int, Meta(ge=0)] = 0


class _Vectors(Struct):
    data: list[_Vector]


_VECTORS: Final = msgspec.json.Decoder(_Vectors).decode


@final
class Embedded(Unstreamed):
    """The translator of embeddings, in either of Ollama's shapes."""

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Translate a whole reply.

        Raises:
            ValueError: It is no list of vectors.
        """
        del request
        vectors = sorted(_VECTORS(data).data, key=lambda each: each.index)
        if isinstance(asked.origin, OldEmbed):
            if not vectors:
                raise ValueError("it gave no vector")
            return _ENCODE({"embedding": vectors[0].embedding})
        counted = whole(data)
        used = counted.usage if counted is not None else None
        return _ENCODE(
            {
                "model": asked.model,
                "embeddings": [each.embedding for each in vectors],
                "total_duration": asked.total_us * 1000,
                "load_duration": 0,
                "prompt_eval_count": used.tokens_in if used is not None else 0,
            }
        )


CHAT: Final = Generated(chat=True)
GENERATE: Final = Generated(chat=False)
EMBEDDED: Final = Embedded()


def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")


def _thought(asked: Asked, speech: Speech) -> str:
    """Reasoning, unless it was not to be shown."""
    return "" if cast("Generation", asked.origin).think is False else speech.thought


def _told(call: _Call, *, cut: bool) -> object:
    """A call as Ollama has it; arguments that the bound on tokens cut off are given as none."""
    if not call.name:
        raise ValueError("it calls a tool without a name")
    try:
        arguments = _ARGUMENTS(call.arguments.strip() or "{}")
    except ValueError as error:
        if not cut:
            text = f"it calls {call.name!r} with arguments that are no JSON object: {error}"
            raise ValueError(text) from error
        arguments = {}
    function: dict[str, object] = {"name": call.name, "arguments": arguments}
    return {"function": function} | ({"id": call.id} if call.id else {})


def _ending(
    asked: Asked, usage: Usage | None, timings: Timings | None, *, reason: str
) -> Mapping[str, object]:
    """The end of an answer: durations in nanoseconds, the engine's own where it gives them."""
    first_us = asked.first_us
    prompt_ns, eval_ns = first_us * 1000, (asked.total_us - first_us) * 1000
    if timings is not None:
        prompt_ns, eval_ns = int(timings.prompt_ms * 1e6), int(timings.predicted_ms * 1e6)
    return {
        "done": True,
        "done_reason": reason,
        "total_duration": asked.total_us * 1000,
        "load_duration": 0,
        "prompt_eval_count": usage.tokens_in if usage is not None else 0,
        "prompt_eval_duration": prompt_ns,
        "eval_count": usage.tokens_out if usage is not None else 0,
        "eval_duration": eval_ns,
    }
