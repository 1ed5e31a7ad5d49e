"""Prober: asks an engine on this machine for a few tokens, and takes the time."""

import json
from typing import Final

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import UpstreamFailed
from littoral.domain.ports import Clock
from littoral.domain.units import Seconds

MOST_LINE: Final = 65_536
WORD: Final = "la "
"""One token or two of most tokenizers."""


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
                await stream.send(_request(endpoint, tokens_in, tokens_out))
                first = await self._read(BufferedByteReceiveStream(stream))
        except (OSError, anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound) as error:
            raise UpstreamFailed(f"{endpoint.id} did not answer a probe: {error}") from error
        now = self._clock.now()
        return Seconds(first - began), Seconds(now - began)

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


def _request(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> bytes:
    address = endpoint.address
    prompt = WORD * tokens_in
    asked: dict[str, object] = {
        "model": endpoint.engine_model or endpoint.serves,
        "max_tokens": tokens_out,
        "stream": True,
        "temperature": 0,
    }
    if "chat" in endpoint.capabilities:
        path = "/chat/completions"
        asked["messages"] = [{"role": "user", "content": prompt}]
    else:
        path = "/completions"
        asked["prompt"] = prompt
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
