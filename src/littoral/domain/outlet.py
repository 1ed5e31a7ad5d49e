"""Outlet: frames of calls that wait for one channel, in their order."""

from collections import deque
from typing import Final

from littoral.domain.ports import ChannelClosed
from littoral.domain.switch import Streamed

MOST_WAITING: Final = 100_000
"""Frames that may wait: the windows of all streams of a channel, in small pieces, are fewer."""


class Outlet:
    """What waits for one channel.

    Args:
        most: Frames that may wait.
    """

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._most = most
        self._frames: deque[Streamed] = deque()

    def put(self, frame: Streamed) -> None:
        """Let a frame wait."""
        self._frames.append(frame)

    def take(self) -> Streamed | None:
        """The next frame to send; None where none waits.

        Raises:
            ChannelClosed: The peer takes too little of what is sent to it.
        """
        if len(self._frames) > self._most:
            raise ChannelClosed("the peer takes too little of what is sent to it")
        return self._frames.popleft() if self._frames else None
