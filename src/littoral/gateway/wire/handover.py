"""Handover: an upgrade request, on its way from a client's connection to a realtime session."""

import asyncio
from typing import Protocol

from littoral.gateway import realtime
from littoral.gateway.refusal import Refusal
from littoral.gateway.table import KeyRow
from littoral.gateway.wire.intake import Message
from littoral.gateway.wire.worker import Worker


class Caller(Protocol):
    """The client's connection, as a handover sees it."""

    def refuse(self, refusal: Refusal, rid: bytes) -> None:
        """Answer with an error."""
        ...

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Let go of the connection; returns it, and what was read of it and not used."""
        ...


def hand_over(worker: Worker, client: Caller, message: Message, *, key: KeyRow) -> None:
    """Turn a connection into a session, or refuse.

    Args:
        worker: What all connections share.
        client: Whose connection it is.
        message: Its upgrade request.
        key: In whose name.
    """
    rid = worker.request_id()
    session = realtime.opened(message.url, rid)
    if isinstance(session, Refusal):
        client.refuse(session, rid)
        return
    from littoral.gateway.wire.socket import Socket  # noqa: PLC0415  its library is large, and few need it

    transport, rest = client.hand_over()
    Socket(worker, transport, session, key=key).open(message.url, message.upgrade or (), rest)
