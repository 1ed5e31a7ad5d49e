"""Deferrals: requests that wait at a node, as its gateways keep, see and cancel them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import anyio

from littoral.domain.deferral import AHEAD, Deferral, DeferralState, DeferralStore
from littoral.domain.errors import UnknownName
from littoral.domain.ids import ProjectId
from littoral.domain.local import Defer, Look
from littoral.domain.ports import Clock, Failpoints, Outbox
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.node.board import Board
from littoral.node.carrying import Carrying, DeferralBounds, DeferralParts, light
from littoral.node.share import part_of, weights_of

SWEEP = Seconds(60.0)
LEAST = Seconds(0.01)
"""What is over in less than this is looked at then."""
REVOKED = "the API key that asked for it was revoked, or is gone"


class Deferrals:
    """The deferrals of a node.

    Args:
        parts: What they need.
    """

    def __init__(self, parts: DeferralParts) -> None:
        self._parts = parts
        self._store = parts.store
        self._seen: Snapshot | None = None
        self._taken_up = anyio.Event()
        self.carrying = Carrying(parts)

    async def run(self) -> None:
        """Take up what the last life left, then run what waits, until cancelled."""
        async with anyio.create_task_group() as group:
            self.carrying.group = group
            try:
                await self._take_up()
                self._taken_up.set()
                group.start_soon(self._watch)
                group.start_soon(self._sweep)
                while True:
                    await self._look()
                    self._expire()
                    self.carrying.give_out()
                    await self.carrying.changed.wait(at_most_s=self._left())
            finally:
                self.carrying.group = None

    def _left(self) -> float | None:
        """How long to wait without news: clocks may jump, so not much longer than a sweep."""
        clock = self._parts.clock
        left = self.carrying.ahead.left(clock.now(), clock.wall())
        return None if left is None else min(max(left, LEAST), SWEEP)

    async def _sweep(self) -> None:
        """Drop what has been kept for long enough."""
        while True:
            await self.carrying.surely(self._store.sweep)
            await anyio.sleep(SWEEP)

    # what gateways ask

    async def answer(self, question: Defer | Look) -> Sequence[Deferral]:
        """Keep, show, list, cancel or drop.

        Raises:
            LittoralError: It cannot be done; the gateway's client is told.
        """
        await self._taken_up.wait()
        if isinstance(question, Defer):
            return (await self._accept(question.deferral),)
        project, name = question.project, question.response
        if question.act == "list":
            return await self._store.page(project, before=question.before, limit=question.limit)
        if question.act == "same":
            found = await self._store.known(project, name)
            return () if found is None else (light(found),)
        known = await self._known(project, name)
        match question.act:
            case "thread":
                return (replace(known, body=b""),)
            case "halt":
                return (await self._halt(known),)
            case _:
                return await self._drop(known) if question.act == "drop" else (light(known),)

    async def _accept(self, deferral: Deferral) -> Deferral:
        bounds = self._parts.bounds
        room = replace(bounds.room, part=part_of(deferral.project, self.carrying.weights))
        keep_us = Micros(deferral.expires_us + bounds.keep_us)
        kept = await self._store.accept(replace(deferral, keep_us=keep_us), room=room)
        if kept.id == deferral.id:
            self.carrying.add(light(kept))
        self._parts.failpoints.hit("deferred.accepted")
        return light(kept)

    async def _known(self, project: ProjectId, name: str) -> Deferral:
        found = await self._store.get(project, name)
        if found is None:
            raise UnknownName(f"no deferred request {name!r}; it may have been dropped")
        return found

    async def _halt(self, deferral: Deferral) -> Deferral:
        """Cancel one; what has ended stays as it is."""
        if deferral.state in AHEAD:
            ended = self.carrying.ended(deferral, "cancelled", "its caller cancelled it")
            if await self._store.end(ended):
                self._forget(deferral)
                return light(ended)
            deferral = await self._known(deferral.project, deferral.id)
        return light(deferral)

    async def _drop(self, deferral: Deferral) -> Sequence[Deferral]:
        """Cancel what has not ended; what has is deleted, and nothing returned."""
        if deferral.state in AHEAD:
            return (await self._halt(deferral),)
        if deferral.usage is not None and not deferral.booked:
            await self.carrying.book(deferral.id, deferral.usage)
        await self._store.delete(deferral.project, deferral.id)
        return ()

    # what waits

    def _forget(self, deferral: Deferral) -> None:
        """Neither let it wait nor run it any more; its gateway still says what it used."""
        self.carrying.ahead.remove(deferral)
        self.carrying.stop(lambda running: running.id == deferral.id)

    async def _take_up(self) -> None:
        for each in await self.carrying.surely(self._store.unbooked):
            if each.usage is not None:
                await self.carrying.book(each.id, each.usage)
        for each in await self.carrying.surely(self._store.ahead):
            if each.state == "running":
                await self.carrying.again(each, "the node that ran it ended")
            else:
                self.carrying.add(each)

    async def _watch(self) -> None:
        while True:
            await self._parts.board.changed.wait()
            if self.carrying.ahead or self._parts.board.snapshot is not self._seen:
                self.carrying.changed.notify()

    async def _look(self) -> None:
        """With each new snapshot, drop what nobody may ask for any more.

        What a snapshot lacks may be there, where this build cannot read all of it.
        """
        snapshot = self._parts.board.snapshot
        if snapshot is self._seen or snapshot is None:
            return
        self._seen, self.carrying.weights = snapshot, weights_of(snapshot)
        whole, revoked = not snapshot.unread, {key.id: key.revoked for key in snapshot.keys}
        for each in self.carrying.ahead.those(lambda one: revoked.get(one.key, whole)):
            self._close(each, "cancelled", REVOKED)
        if not whole:
            return
        projects = {key.project for key in snapshot.keys}
        for project in await self.carrying.surely(self._store.projects):
            if project not in projects:
                await self._purge(project)

    async def _purge(self, project: ProjectId) -> None:
        """Drop everything of a project that is gone, its running requests too."""
        self.carrying.ahead.purge(project)
        self.carrying.stop(lambda running: running.project == project)
        await self.carrying.surely(lambda: self._store.purge(project))

    def _expire(self) -> None:
        now = self._parts.clock.wall()
        for each in self.carrying.ahead.those(lambda one: one.expires_us <= now):
            why = f": {each.reason}" if each.reason else ""
            self._close(each, "expired", f"its time passed while it waited{why}")

    def _close(self, deferral: Deferral, state: DeferralState, reason: str) -> None:
        """End one that waits."""
        self._forget(deferral)
        ended = self.carrying.ended(deferral, state, reason)
        self.carrying.spawn(self.carrying.surely, lambda: self._store.end(ended))


class Given(Protocol):
    """What the world gives a node for its deferrals."""

    @property
    def deferrals(self) -> DeferralStore:
        """Where they are."""
        ...

    @property
    def deferral_bounds(self) -> DeferralBounds:
        """How many, and for how long."""
        ...

    @property
    def outbox(self) -> Outbox:
        """Where what they used is booked."""
        ...

    @property
    def failpoints(self) -> Failpoints:
        """Where tests interfere."""
        ...


def deferrals_of(
    given: Given, clock: Clock, board: Board, *, booked: Callable[[Sequence[UsageRecord]], None]
) -> Deferrals:
    """The deferrals of a node; ``booked`` is told of records once they are in the outbox."""
    return Deferrals(
        DeferralParts(
            store=given.deferrals,
            outbox=given.outbox,
            clock=clock,
            board=board,
            failpoints=given.failpoints,
            booked=booked,
            bounds=given.deferral_bounds,
        )
    )
