"""Deferrals for tests: one of them, a gateway that runs them, and a node that lives and dies."""

from hashlib import sha256

import anyio
import pytest

from littoral.domain.deferral import Deferral
from littoral.domain.endpoint import Endpoint
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.local import Carried, Carry, Defer, Look, Quit
from littoral.domain.project import KeyGrant
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import HOUR_US, Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.testing.failpoints import Crash
from littoral.testing.loop import simulate
from littoral.testing.outbox import MemoryOutbox
from littoral.testing.usage import usage_record, usage_rows

HOME = ProjectId("home")


CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def deferral(**fields) -> Deferral:
    given = {
        "id": "dfr_old",
        "project": ProjectId("p"),
        "key": KeyId("k"),
        "path": "/v1/chat/completions",
        "model": "m",
        "accepted_us": Micros(1_000_000),
        "expires_us": Micros(9_000_000_000_000),
        "keep_us": Micros(9_000_000_000_001),
        "digest": sha256(CHAT).hexdigest(),
        "number": 7,
        "body": CHAT,
    }
    return Deferral(**{**given, **fields})


def usage(request: str, **fields) -> UsageRecord:
    given = {"request": request, "project": HOME, "key": KeyId("k"), "model": "m"}
    return usage_record(0, **{**given, **fields})


class Gateway:
    """A gateway, as deferrals see it."""

    def __init__(self, house: "House") -> None:
        self.house = house
        self.frames: list[Carry | Quit] = []
        house.deferrals.carrying.join(self)

    def post(self, frame) -> None:
        self.frames.append(frame)

    @property
    def runs(self) -> list[str]:
        return [each.deferral.id for each in self.frames if isinstance(each, Carry)]

    async def answer(self, at: int = -1, **fields) -> None:
        carry = [each for each in self.frames if isinstance(each, Carry)][at]
        given = {
            "state": "completed",
            "media": "application/json",
            "answer": b"{}",
            "usage": usage(carry.deferral.request),
        }
        self.house.deferrals.carrying.end(Carried(run=carry.run, **{**given, **fields}))
        await anyio.sleep(0.01)

    async def hand_back(self, at: int = -1, again_s: float = 2.0, **fields) -> None:
        given = {"state": "queued", "reason": "busy", "usage": None, "answer": b"", "media": ""}
        await self.answer(at, **given, again_s=Seconds(again_s), **fields)

    def dies(self) -> None:
        self.house.deferrals.carrying.leave(self)


class House:
    """A node's deferrals, and what outlives them."""

    def __init__(self, around) -> None:
        self.around = around
        self.outbox = MemoryOutbox()
        self.store = around.deferred
        self.bounds: dict[str, object] = {}
        self.count = 0

    def serve(self, *models: str, state="ready") -> None:
        for model in models:
            endpoint = Endpoint(
                id=EndpointId(model),
                deployment=DeploymentName(model),
                serves=model,
                engine="fake",
                state=state,
            )
            self.around.board.put_endpoint(endpoint)

    def know(self, *keys: str, project=HOME, revoked=(), unread=()) -> None:
        grants = tuple(
            KeyGrant(id=KeyId(each), project=project, mac=b"", scopes=(), revoked=each in revoked)
            for each in keys
        )
        self.count += 1
        self.around.board.put_snapshot(
            Snapshot(
                epoch=1,
                version=self.count,
                issued_us=Micros(1),
                node=NodeId("nd"),
                pepper=b"",
                keys=grants,
                assignments=(),
                unread=unread,
            )
        )

    async def defer(self, name: str = "dfr_1", **fields) -> Deferral:
        now = self.around.clock.wall()
        given = {
            "id": name,
            "project": HOME,
            "key": KeyId("k"),
            "path": "/v1/chat/completions",
            "model": "m",
            "accepted_us": now,
            "expires_us": Micros(now + HOUR_US),
            "keep_us": now,
            "body": b"{}",
        }
        deferral = Deferral(**{**given, **fields})
        (kept,) = await self.deferrals.answer(Defer(number=1, deferral=deferral))
        await anyio.sleep(0.01)
        return kept

    async def look(self, act="show", name="dfr_1", **fields):
        question = Look(number=1, project=HOME, response=name, act=act, **fields)
        found = await self.deferrals.answer(question)
        await anyio.sleep(0.01)
        return found

    async def state(self, name: str = "dfr_1") -> str:
        return (await self.look(name=name))[0].state

    async def booked(self) -> list[str]:
        return [each.usage.request for each in await usage_rows(self.outbox)]

    def life(self, script) -> None:
        """Run one life of the node, with a script in it."""

        async def main() -> None:
            self.around.start_board()
            self.deferrals = self.around.deferrals(self.outbox, **self.bounds)
            async with anyio.create_task_group() as group:
                group.start_soon(self.deferrals.run)
                await anyio.sleep(0.01)
                await script()
                group.cancel_scope.cancel()

        simulate(main)

    def dying_life(self, script, kind: type[Exception] = Crash) -> None:
        """Run a life that ends at an armed failpoint."""
        with pytest.raises(BaseExceptionGroup) as caught:
            self.life(script)
        assert _has(caught.value, kind)


def _has(error: BaseException, kind: type) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(_has(each, kind) for each in error.exceptions)
    return isinstance(error, kind)
