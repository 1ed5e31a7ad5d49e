"""Shelf: the stored responses of a node, as its gateways keep, see, cancel and drop them.

Every gateway asks over its own link and sees the same: which of them keeps or runs a response makes
no difference.
"""

import contextlib
import math
from collections.abc import Sequence
from dataclasses import replace

import anyio

from littoral.domain.deferral import PREFIX
from littoral.domain.errors import InvalidInput, LittoralError, UnknownName
from littoral.domain.ids import ProjectId
from littoral.domain.local import Carried, Defer
from littoral.domain.ports import Channel, ChannelClosed, Clock
from littoral.domain.response import UNDER_WAY, ResponseStore, StoredResponse
from littoral.domain.session import (
    Frame,
    Keep,
    Leave,
    Look,
    Ran,
    Shelved,
    Told,
)
from littoral.domain.units import Seconds
from littoral.node.background import Background, Bounds
from littoral.node.board import Board
from littoral.node.deferral import Deferrals

SWEEP = Seconds(60.0)
BOUNDS = Bounds()
Question = Keep | Look | Defer


class Shelf:
    """The stored responses of a node.

    Args:
        store: Where they are.
        clock: When those in the background may be tried again.
        board: Is told when the disk refuses.
        deferrals: The requests that wait here for a place.
        bounds: How many run and wait in the background.
    """

    def __init__(
        self,
        store: ResponseStore,
        *,
        clock: Clock,
        board: Board,
        deferrals: Deferrals,
        bounds: Bounds = BOUNDS,
    ) -> None:
        self._store = store
        self._board = board
        self.deferrals = deferrals
        self.background = Background(store, clock=clock, board=board, bounds=bounds)

    async def run(self) -> None:
        """Run what is to run, and drop what is over, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.background.run)
            group.start_soon(self.deferrals.run)
            while True:
                try:
                    await self._store.sweep()
                except LittoralError as error:
                    self._board.say_error("responses", error)
                await anyio.sleep(SWEEP)

    async def answer(self, question: Question, link: "Link") -> None:
        """Answer a question of a gateway.

        Raises:
            LittoralError: It cannot be done; the gateway's client is told.
        """
        if isinstance(question, Keep):
            await self._keep(question.response)
            link.post(Shelved(number=question.number))
        elif isinstance(question, Defer) or _is_of_deferrals(question):
            told = await self.deferrals.answer(question)
            link.post(Shelved(number=question.number, deferrals=tuple(told)))
        elif question.act == "follow":
            await self._follow(question, link)
        else:
            found = await self._act(question)
            link.post(Shelved(number=question.number, responses=tuple(found)))

    async def _act(self, question: Look) -> Sequence[StoredResponse]:
        match question.act:
            case "thread":
                return await self._store.thread(question.project, question.response)
            case "halt":
                return (await self._halt(question),)
            case "drop":
                await self._drop(question)
                return ()
            case _:
                return (await self._known(question.project, question.response),)

    async def _known(self, project: ProjectId, name: str) -> StoredResponse:
        found = await self._store.get(project, name)
        if found is None:
            raise UnknownName(f"no stored response {name!r}; it may have expired")
        return found

    async def _keep(self, response: StoredResponse) -> None:
        queued = response.status == "queued"
        if queued:
            self.background.check_room(response.project)
        await self._store.put(response, part=self.background.part_of(response.project))
        if queued:
            self.background.add(response)

    async def _drop(self, question: Look) -> None:
        found = await self._known(question.project, question.response)
        await self._store.delete(found.project, found.id)
        self.background.forget(found.id)
        self.background.finish(found.id)

    async def _halt(self, question: Look) -> StoredResponse:
        found = await self._known(question.project, question.response)
        if not found.background:
            raise InvalidInput("only a response in the background can be cancelled")
        if found.status not in UNDER_WAY:
            return found
        said = self.background.forget(found.id)
        ended = replace(found, status="cancelled", asked=b"", events=said)
        if not await self._store.advance(ended):
            return await self._known(found.project, found.id)
        self.background.finish(found.id)
        return ended

    async def _follow(self, question: Look, link: "Link") -> None:
        """Show it, then what it says; it may end while it is looked up."""
        while True:
            found = await self._known(question.project, question.response)
            link.post(Shelved(number=question.number, responses=(found,)))
            if self.background.follow(found, link, question.number):
                return


def _is_of_deferrals(question: Look) -> bool:
    return question.act in {"list", "same"} or question.response.startswith(PREFIX)


class Link:
    """One gateway's questions, and what it is told.

    Args:
        shelf: Whom it asks.
        channel: To the gateway.
    """

    def __init__(self, shelf: Shelf, channel: Channel) -> None:
        self._shelf = shelf
        self._channel = channel
        self._in, self._taken = anyio.create_memory_object_stream[Frame](math.inf)
        self._out, self._posted = anyio.create_memory_object_stream[Frame](math.inf)

    def take(self, frame: Frame) -> None:
        """Take a frame; the gateway bounds how many questions are open."""
        with contextlib.suppress(anyio.ClosedResourceError):
            self._in.send_nowait(frame)

    def post(self, frame: Frame) -> None:
        """Send a frame when the channel has room."""
        with contextlib.suppress(anyio.ClosedResourceError):
            self._out.send_nowait(frame)

    async def run(self) -> None:
        """Answer until cancelled; whoever cancels it knows that the gateway is gone."""
        background = self._shelf.background
        background.join(self)
        self._shelf.deferrals.carrying.join(self)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._send)
                async for frame in self._taken:
                    self._hear(frame)
                    if isinstance(frame, Question):
                        group.start_soon(self._answer, frame)
        finally:
            background.leave(self)
            self._shelf.deferrals.carrying.leave(self)
            for end in (self._in, self._taken, self._out, self._posted):
                end.close()

    def _hear(self, frame: Frame) -> None:
        background = self._shelf.background
        match frame:
            case Told():
                background.tell(frame)
            case Ran():
                background.end(frame)
            case Carried():
                self._shelf.deferrals.carrying.end(frame)
            case Leave():
                background.unfollow(self, frame.number)
            case _:
                return

    async def _send(self) -> None:
        try:
            async for frame in self._posted:
                await self._channel.send(frame)
        except ChannelClosed:
            return  # the gateway is gone, and whoever watches it says why

    async def _answer(self, question: Question) -> None:
        try:
            await self._shelf.answer(question, self)
        except LittoralError as error:
            self.post(
                Shelved(
                    number=question.number,
                    status=error.status,
                    code=error.code,
                    message=error.message,
                )
            )
