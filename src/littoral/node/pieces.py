"""Pieces: blobs from neighbours, piece by piece over the channels that there are, and to them."""

import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

import anyio

from littoral.domain.delivery import Answered, Cut, Downloads
from littoral.domain.ids import DIGEST, Digest, NodeId
from littoral.domain.neighbour import MOST_PIECE, SCHEME, PieceAnswer, PieceAsk
from littoral.domain.ports import Channel, ChannelClosed
from littoral.node.signal import Signal

AHEAD: Final = 4
"""Pieces that are asked for before the first of them is here."""
WITHIN_S: Final = 20.0
PARTIAL, MISSING, NOT_YET = 206, 404, 416
_ADDRESS: Final = re.compile(SCHEME + r"(?P<node>[a-z0-9_-]+)/node/v1/blobs/(?P<digest>[a-z0-9:]+)")

Answer: TypeAlias = Callable[[], Awaitable[PieceAnswer]]
Ask: TypeAlias = Callable[[NodeId, PieceAsk], Awaitable[Answer]]
Read: TypeAlias = Callable[[Digest, int, int], Awaitable[bytes | None]]


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Asked:
    """One ask, for as long as somebody waits for its answer; None: that is not here yet."""

    answer: PieceAnswer | None = None


class Asking:
    """What one neighbour was asked for and has not answered yet."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting = WeakValueDictionary[int, _Asked]()
        self._heard = Signal()
        self._over = False

    async def ask(self, channel: Channel, ask: PieceAsk) -> Answer:
        """Send an ask under a number of its own. Raises ``ChannelClosed``."""
        self._number += 1
        asked = self._waiting[self._number] = _Asked()
        await channel.send(replace(ask, number=self._number))
        return partial(self._answered, asked)

    def heard(self, answer: PieceAnswer) -> None:
        """An answer is here; one that nobody waits for goes nowhere."""
        asked = self._waiting.get(answer.number)
        if asked is not None:
            asked.answer = answer
            self._heard.notify()

    def lost(self) -> None:
        """Nothing comes any more."""
        self._over = True
        self._heard.notify()

    async def _answered(self, asked: _Asked) -> PieceAnswer:
        with anyio.fail_after(WITHIN_S):
            while asked.answer is None:
                if self._over:
                    raise ChannelClosed("the neighbour is gone")
                await self._heard.wait()
        return asked.answer


class NearDownloads:
    """``Downloads`` that takes what neighbours have from them, and all else from beyond.

    Args:
        ask: Asks a neighbour.
        beyond: Where all other addresses are.
    """

    def __init__(self, ask: Ask, beyond: Downloads) -> None:
        self._ask = ask
        self._beyond = beyond

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes."""
        found = _ADDRESS.fullmatch(address)
        if found is None:
            async with self._beyond.get(address, begin=begin, end=end, gently=gently) as answered:
                yield answered
            return
        digest = Digest(found["digest"])
        wanted = PieceAsk(number=0, digest=digest, begin=begin, size=end - begin)
        row = _Row(self._ask, NodeId(found["node"]), wanted)
        first = await row.next()
        yield Answered(status=first.status, begin=begin, pieces=row.pieces(first))


class _Row:
    """One range of a blob, of one neighbour, in order."""

    def __init__(self, ask: Ask, node: NodeId, wanted: PieceAsk) -> None:
        self._ask = ask
        self._node = node
        self._wanted = wanted
        self._next, self._end = wanted.begin, wanted.begin + wanted.size
        self._asked: deque[tuple[int, Answer]] = deque()

    async def next(self) -> PieceAnswer:
        """The next piece, while some behind it are on their way. Raises ``Cut``."""
        try:
            while len(self._asked) < AHEAD and self._next < self._end:
                size = min(MOST_PIECE, self._end - self._next)
                ask = replace(self._wanted, begin=self._next, size=size)
                self._asked.append((size, await self._ask(self._node, ask)))
                self._next += size
            size, answer = self._asked.popleft()
            given = await answer()
        except (ChannelClosed, TimeoutError) as error:
            raise Cut(f"{self._node}: {error or 'no answer'}") from error
        if len(given.data) < size:
            self._end = 0  # there is no more of it now
            self._asked.clear()
        return given

    async def pieces(self, first: PieceAnswer) -> AsyncIterator[bytes]:
        """The bytes that the first answer and those behind it bring."""
        given = first
        while given.status == PARTIAL and given.data:
            yield given.data
            if not self._asked and self._next >= self._end:
                return
            given = await self.next()


async def answer(ask: PieceAsk, read: Read) -> PieceAnswer:
    """Give a neighbour what is here of a blob; it need not be whole.

    Args:
        ask: What it asks for.
        read: Verified bytes from a place on, fewer where there are no more; None: not here.
    """
    number = ask.number
    if DIGEST.fullmatch(ask.digest) is None or ask.begin < 0:
        return PieceAnswer(number=number, status=MISSING)
    data = await read(ask.digest, ask.begin, min(max(ask.size, 0), MOST_PIECE))
    if data is None:
        return PieceAnswer(number=number, status=NOT_YET)
    return PieceAnswer(number=number, status=PARTIAL, data=data)
