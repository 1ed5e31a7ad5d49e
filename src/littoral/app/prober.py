"""Prober: asks an engine on this machine for a few tokens, for their time or for what they say."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import anyio
import msgspec
from anyio.streams.buffered import BufferedByteReceiveStream

from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import UpstreamFailed
from littoral.domain.ports import Clock
from littoral.domain.rollout import GoldenItem, Utterance
from littoral.domain.units import Seconds

MOST_LINE: Final = 65_536
WORD: Final = "la "
"""One token or two of most tokenizers."""
MOST_ANSWER: Final = 1 << 20
_BROKEN: Final = (
    *(OSError, anyio.BrokenResourceError, anyio.EndOfStream),
    *(anyio.IncompleteRead, anyio.DelimiterNotFound),
)
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, IndexError)
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ ]*(\d{1,9})(?:\r|$)", re.IGNORECASE)


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Told(msgspec.Struct):
    choices: list[_Choice]


class Prober:
    """Probes over HTTP/1.1 on loopback, one connection a probe.

    Args:
        clock: Takes the time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def probe(
        self, endpoint: Endpoint, tokens_in: int, tokens_out: int
    ) -> tuple[Seconds, Seconds]:
        """Seconds to the first token, and to the last.

        Raises:
            UpstreamFailed: The engine did not answer with a stream.
        """
        address = endpoint.address
        if address is None:
            raise UpstreamFailed(f"{endpoint.id} has no address")
        began = self._clock.now()
        try:
            async with await anyio.connect_tcp(address.host, address.port) as stream:
                await stream.send(_request(endpoint, _words(endpoint, tokens_in, tokens_out)))
                first = await self._read(BufferedByteReceiveStream(stream))
        except _BROKEN as error:
            raise UpstreamFailed(f"{endpoint.id} did not answer a probe: {error}") from error
        now = self._clock.now()
        return Seconds(first - began), Seconds(now - began)

    async def answer(self, endpoint: Endpoint, item: GoldenItem) -> str:
        """What an engine says to a golden item.

        Raises:
            UpstreamFailed: It gave no answer.
        """
        address = endpoint.address
        if address is None:
            raise UpstreamFailed(f"{endpoint.id} has no address")
        try:
            async with await anyio.connect_tcp(address.host, address.port) as stream:
                await stream.send(_request(endpoint, _item(endpoint, item)))
                body = await _whole(BufferedByteReceiveStream(stream))
            choice = msgspec.json.decode(body, type=_Told).choices[0]
        except (*_BROKEN, *_UNREADABLE) as error:
            raise UpstreamFailed(f"{endpoint.id} did not answer an item: {error}") from error
        return (choice.message.content if choice.message else choice.text) or ""

    async def _read(self, stream: BufferedByteReceiveStream) -> Seconds:
        """Read the answer to its end; when its first event came."""
        status = await stream.receive_until(b"\r\n", MOST_LINE)
        if b" 200" not in status[:16]:
            raise UpstreamFailed(f"an engine answered a probe with {status[:40]!r}")
        first: Seconds | None = None
        while True:
            line = await stream.receive_until(b"\n", MOST_LINE)
            if line.startswith(b"data: [DONE]"):
                break
            if first is None and line.startswith(b"data:"):
                first = self._clock.now()
        if first is None:
            raise UpstreamFailed("an engine answered a probe without a token")
        return first


async def _whole(stream: BufferedByteReceiveStream) -> bytes:
    """Read an answer's body, which must say how long it is."""
    head = await stream.receive_until(b"\r\n\r\n", MOST_LINE)
    if b" 200" not in head[:16]:
        raise UpstreamFailed(f"an engine answered an item with {head[:40]!r}")
    found = _LENGTH.search(head)
    if found is None or int(found[1]) > MOST_ANSWER:
        raise UpstreamFailed("an engine answered an item without a length, or at too great length")
    return await stream.receive_exactly(int(found[1]))


def _words(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> Mapping[str, object]:
    """What a probe asks."""
    turns = (Utterance(content=WORD * tokens_in),)
    return {**_question(endpoint, turns), "max_tokens": tokens_out, "stream": True}


def _item(endpoint: Endpoint, item: GoldenItem) -> Mapping[str, object]:
    """What a golden item asks."""
    turns = item.messages or (Utterance(content=item.prompt),)
    return {**_question(endpoint, turns), "max_tokens": item.max_tokens, "stream": False}


def _question(endpoint: Endpoint, turns: Sequence[Utterance]) -> Mapping[str, object]:
    """A question as the engine takes it: a chat, or else one text."""
    model = endpoint.engine_model or endpoint.serves
    if "chat" not in endpoint.capabilities:
        text = "\n".join(each.content for each in turns)
        return {"model": model, "temperature": 0, "prompt": text}
    messages = [{"role": each.role, "content": each.content} for each in turns]
    return {"model": model, "temperature": 0, "messages": messages}


def _request(endpoint: Endpoint, asked: Mapping[str, object]) -> bytes:
    address = endpoint.address
    path = "/chat/completions" if "messages" in asked else "/completions"
    body = json.dumps(asked).encode()
    base = "" if address is None else address.base
    host = "" if address is None else address.host
    head = [
        f"POST {endpoint.paths.get(path.strip('/'), base + path)} HTTP/1.1",
        f"host: {host}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if endpoint.credential:
        head.append(f"authorization: Bearer {endpoint.credential}")
    return "\r\n".join([*head, "", ""]).encode() + body
