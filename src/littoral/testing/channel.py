"""Channel in memory: two ends of a bounded pipe of frames."""

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from littoral.domain.ids import NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import Frame


class MemoryChannel:
    """One end; what it sends, the other end receives, in order."""

    def __init__(
        self, sender: MemoryObjectSendStream[Frame], receiver: MemoryObjectReceiveStream[Frame]
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self.peer: NodeId | None = None
        self.facts: LinkFacts | None = None

    def link(self) -> LinkFacts | None:
        """What a test said of the way."""
        return self.facts

    async def send(self, frame: Frame) -> None:
        """Send one frame; waits while the other end is slow."""
        try:
            await self._sender.send(frame)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ChannelClosed("the peer is gone") from error

    async def receive(self) -> Frame:
        """The next frame."""
        try:
            return await self._receiver.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError) as error:
            raise ChannelClosed("the peer is gone") from error

    async def close(self) -> None:
        """End it for both sides; frames already sent can still be received."""
        self._sender.close()
        self._receiver.close()


def channel_pair(capacity: int = 64) -> tuple[MemoryChannel, MemoryChannel]:
    """Make both ends of a pipe that holds ``capacity`` frames each way."""
    to_right, from_left = anyio.create_memory_object_stream[Frame](capacity)
    to_left, from_right = anyio.create_memory_object_stream[Frame](capacity)
    return MemoryChannel(to_right, from_right), MemoryChannel(to_left, from_left)
