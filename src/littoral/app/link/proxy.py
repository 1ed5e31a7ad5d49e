"""Proxy: connections through an HTTP proxy, for hosts that reach nothing else."""

import base64
from typing import Final

import anyio
from anyio.abc import SocketStream

from littoral.domain.pipe import PipeClosed

MOST_HEAD: Final = 16_384
"""Longest answer of a proxy, bytes."""


async def connected(host: str, port: int, *, proxy: str = "") -> SocketStream:
    """Open a connection to a host, through a proxy where there is one.

    Args:
        host: Its name or address; with a proxy that one looks the name up.
        port: Of the host.
        proxy: ``http://[user:password@]host[:port]``, or empty: none.

    Raises:
        OSError: Nobody can be reached there.
        PipeClosed: The proxy refuses, or is none.
    """
    if not proxy:
        return await anyio.connect_tcp(host, port)
    from websockets.proxy import parse_proxy  # noqa: PLC0415  loads urllib.request, which few need

    found = parse_proxy(proxy)
    stream = await anyio.connect_tcp(found.host, found.port)
    try:
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
        if found.username is not None:
            pair = f"{found.username}:{found.password}"
            head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        await stream.send(f"{head}\r\n".encode())
        _judge(await _answer(stream), f"{found.host}:{found.port}")
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


async def _answer(stream: SocketStream) -> bytes:
    """The proxy's answer, read byte for byte: what follows it is the other end's."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        try:
            head += await stream.receive(1)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise PipeClosed("lost", "the proxy hung up") from error
        if len(head) > MOST_HEAD:
            raise PipeClosed("lost", "what answers is no HTTP proxy")
    return head


def _judge(head: bytes, proxy: str) -> None:
    line = head.partition(b"\r\n")[0].decode("latin-1")
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1."):
        raise PipeClosed("lost", f"what answers at {proxy} is no HTTP proxy")
    if not rest.startswith("2"):
        raise PipeClosed("lost", f"the proxy {proxy} refuses: {rest:.80}")
