"""A shelf of stored responses for tests: its gateways, and the house they are in."""

import anyio

from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.response import StoredResponse
from littoral.domain.session import (
    Look,
)
from littoral.domain.units import Micros
from littoral.node.background import Bounds
from littoral.node.shelf import Link, Shelf
from littoral.testing.channel import channel_pair
from littoral.testing.loop import simulate
from littoral.testing.responses import MemoryResponses

HOME = ProjectId("home")


def response(name="resp_1", **fields) -> StoredResponse:
    given = {
        "id": name,
        "project": HOME,
        "key": KeyId("k"),
        "created_us": Micros(1),
        "expires_us": Micros(4_000_000_000_000_000),
        "status": "queued",
        "background": True,
        "asked": b"{}",
        "body": b"{}",
    }
    return StoredResponse(**{**given, **fields})


def about(number, act) -> Look:
    return Look(number=number, project=HOME, response="resp_1", act=act)


class Gateway:
    """The far end of a link."""

    def __init__(self, shelf: Shelf) -> None:
        self.near, self.far = channel_pair()
        self.link = Link(shelf, self.near)
        self.heard = []
        self.scope = anyio.CancelScope()

    async def live(self) -> None:
        try:
            with self.scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(self.link.run)
                    while True:
                        self.heard.append(await self.far.receive())
        finally:
            await self.near.close()
            await self.far.close()

    async def ask(self, frame):
        """Ask, and return what the node answers in a moment."""
        count = len(self.heard)
        self.link.take(frame)
        await anyio.sleep(0.01)
        return self.heard[count:]

    def of(self, kind):
        return [each for each in self.heard if isinstance(each, kind)]

    def dies(self) -> None:
        self.scope.cancel()


class House:
    """A shelf and its gateways."""

    def __init__(self, around) -> None:
        self.around = around
        self.store = MemoryResponses(around.clock)
        self.group = None
        self.bound()

    def bound(self, **bounds) -> None:
        clock, board = self.around.clock, self.around.board
        deferrals, most = self.around.deferrals(), Bounds(**bounds)
        self.shelf = Shelf(self.store, clock=clock, board=board, deferrals=deferrals, bounds=most)

    def gateway(self) -> Gateway:
        gateway = Gateway(self.shelf)
        self.group.start_soon(gateway.live)
        return gateway

    async def status(self, name="resp_1"):
        found = await self.store.get(HOME, name)
        return None if found is None else found.status

    def during(self, script) -> None:
        async def main() -> None:
            async with anyio.create_task_group() as group:
                self.group = group
                group.start_soon(self.shelf.run)
                await anyio.sleep(0.01)
                await script()
                group.cancel_scope.cancel()

        simulate(main)
