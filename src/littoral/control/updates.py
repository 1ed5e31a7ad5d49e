"""Updates: a release on its way to nodes, a few first, the others once these are healthy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
import msgspec

from littoral.control.fleet import Fleet
from littoral.control.releases import Releases
from littoral.control.signer import Signer
from littoral.control.wave import (
    Fleeted,
    advanced,
    first,
    members,
    not_failed,
    report_of,
    version_for,
)
from littoral.control.worker import Bell
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.node import Event, Level, Node
from littoral.domain.ports import Channel, ChannelClosed, Clock, Sink
from littoral.domain.release import (
    Order,
    Release,
    Update,
    UpdateAct,
    UpdateOrder,
    UpdateReport,
    UpdateState,
)
from littoral.domain.units import Micros
from littoral.domain.view import UpdatedNode, UpdateView, UpdateWish
from littoral.trust.release import LEAST_S, MOST_S, sign

NAME: Final = "update"
REPORTS: Final = "update-node/"
LOOK_S: Final = 2.0
CODES: Final[Mapping[UpdateState, str]] = {
    "running": "update.running",
    "paused": "update.paused",
    "undone": "update.undone",
    "done": "update.done",
}
"""The event of each state that an update comes to."""


class Updates:
    """The one update that is under way, or was last.

    Args:
        releases: What nodes may be taken to.
        fleet: The nodes.
        signer: Signs orders.
        clock: Numbers them.
        sink: Is told how it goes.
    """

    def __init__(
        self, releases: Releases, fleet: Fleet, *, signer: Signer, clock: Clock, sink: Sink
    ) -> None:
        self._releases = releases
        self._fleet = fleet
        self._signer = signer
        self._clock = clock
        self._sink = sink
        self._state = releases.state
        self._workers = releases.workers
        kept = self._state.value(NAME)
        self._update = msgspec.json.decode(kept, type=Update) if kept else None
        self._reports: dict[NodeId, UpdateReport] = {
            NodeId(name.removeprefix(REPORTS)): msgspec.json.decode(value, type=UpdateReport)
            for name, value in self._state.values(REPORTS).items()
        }
        self._ordered = Bell()
        self._reported = Bell()
        self._one_at_a_time = anyio.Lock()

    @property
    def under_way(self) -> str:
        """The version that is on its way now; empty where none is."""
        update = self._update
        return update.version if update and update.state in {"running", "paused"} else ""

    async def run(self) -> None:
        """Take the update further, until cancelled."""
        while True:
            await self.look()
            with anyio.move_on_after(LOOK_S):
                await self._reported.wait(self._reported.count)

    async def look(self) -> None:
        """Take the update further once."""
        async with self._one_at_a_time:
            update = self._update
            if update is not None:
                after = advanced(update, self._seen(), now_us=self._now())
                if after != update:
                    await self._put(after, before=update)

    async def follow(self, node: NodeId, channel: Channel) -> None:
        """Give a connected node its order, now and whenever that is another one."""
        told: Order | None = None
        try:
            while True:
                heard = self._ordered.count
                order = self._order(node)
                if order is not None and order != told:
                    token = sign(order, seed=self._signer.keys.present)
                    await channel.send(UpdateOrder(token=token))
                    told = order
                await self._ordered.wait(heard)
        except ChannelClosed:
            return  # it gets its order when it is back

    async def reported(self, node: NodeId, report: UpdateReport) -> None:
        """Take what a node says of its order."""
        if self._reports.get(node) == report:
            return
        name, value = REPORTS + node, msgspec.json.encode(report)
        await self._workers.state(partial(self._state.put_value, name, value))
        self._reports[node] = report
        self._reported.ring()

    async def start(self, wish: UpdateWish) -> UpdateView:
        """Begin to take nodes to a release.

        Raises:
            InvalidInput: A share or a time is out of its range.
            UnknownName: No such release, or no node that this concerns.
            Conflict: Another one is under way.
        """
        if not 0 < wish.canary <= 1 or not 0 <= wish.minutes <= 10_080:
            raise InvalidInput(
                "canary is a share above 0 and up to 1, minutes are 0 to 10080", param="canary"
            )
        if not LEAST_S <= wish.within_s <= MOST_S:
            raise InvalidInput(f"within_s is {LEAST_S:.0f} to {MOST_S:.0f}", param="within_s")
        known = ", ".join(each.version for each in self._releases.all()) or "none"
        if self._releases.find(wish.version) is None:
            raise UnknownName(f"no release {wish.version!r:.80}; known: {known}")
        async with self._one_at_a_time:
            if self.under_way:
                raise Conflict(f"an update to {self.under_way} is under way: undo it first")
            update = Update(
                version=wish.version,
                number=self._number(),
                canary=wish.canary,
                sites=wish.sites,
                minutes=wish.minutes,
                within_s=wish.within_s,
                since_us=self._now(),
                why="began",
            )
            if not members(update, self._fleet.nodes()):
                raise UnknownName("no node that joined is concerned: see littoral nodes list")
            await self._put(update, before=None)
        await self.look()
        return self.view(update)

    async def act(self, act: UpdateAct) -> UpdateView:
        """Do what an operator wants of the update.

        Raises:
            Conflict: There is none, or it cannot be done to it now.
        """
        async with self._one_at_a_time:
            update = self._update
            if update is None or update.state == "undone":
                raise Conflict("no update is under way")
            after = self._acted(update, act)
            await self._put(after, before=update)
        return self.view(after)

    def _acted(self, update: Update, act: UpdateAct) -> Update:
        now, number = self._now(), self._number()
        match act:
            case "pause" if update.state == "running":
                return replace(update, state="paused", why="paused by an operator", since_us=now)
            case "resume" if update.state == "paused":
                return replace(
                    update,
                    state="running",
                    number=number,
                    before=not_failed(update, self._reports),
                    why="resumed",
                    since_us=now,
                )
            case "undo":
                return replace(
                    update, state="undone", number=number, why="undone by an operator", since_us=now
                )
            case _:
                raise Conflict(f"the update to {update.version} is {update.state}")

    def views(self) -> Sequence[UpdateView]:
        """The update under way, or the last one."""
        return [] if self._update is None else [self.view(self._update)]

    def view(self, update: Update) -> UpdateView:
        """An update as people see it."""
        fleet = self._seen()
        canaries = first(update, fleet.nodes)
        return UpdateView(
            version=update.version,
            state=update.state,
            everyone=update.everyone,
            canary=update.canary,
            sites=update.sites,
            since_us=update.since_us,
            why=update.why,
            nodes=tuple(
                _shown(update, node, fleet, is_first=node.id in canaries)
                for node in members(update, fleet.nodes)
            ),
        )

    def _seen(self) -> Fleeted:
        nodes = self._fleet.nodes()
        connected = frozenset(node.id for node in nodes if self._fleet.hears(node.id))
        return Fleeted(nodes=nodes, connected=connected, reports=self._reports)

    def _order(self, node: NodeId) -> Order | None:
        update = self._update
        version = version_for(update, node) if update is not None else None
        if update is None or version is None:
            return None
        release = self._releases.find(version) or Release(version=version)
        return Order(node=node, number=update.number, release=release, within_s=update.within_s)

    async def _put(self, update: Update, *, before: Update | None) -> None:
        value = msgspec.json.encode(update)
        await self._workers.state(partial(self._state.put_value, NAME, value))
        self._update = update
        if before is None or _orders(update) != _orders(before):
            self._ordered.ring()
        if before is None or (update.state, update.everyone) != (before.state, before.everyone):
            level: Level = "error" if update.state == "paused" else "info"
            text = f"{update.version}: {update.state}: {update.why}"
            code = CODES[update.state]
            self._sink.emit(
                Event(at_us=self._now(), level=level, subject="update", code=code, message=text)
            )

    def _number(self) -> int:
        """The number of new orders: above all earlier ones, though the clock were set back."""
        return max(self._now(), self._update.number + 1 if self._update else 0)

    def _now(self) -> Micros:
        return self._clock.wall()


def _orders(update: Update) -> tuple[object, ...]:
    """All that orders of an update are made from."""
    return update.number, update.state == "undone", update.before


def _shown(update: Update, node: Node, fleet: Fleeted, *, is_first: bool) -> UpdatedNode:
    report = report_of(update, node.id, fleet)
    ordered: Mapping[NodeId, str] = update.before
    waiting = "ordered" if node.id in ordered else "waiting"
    return UpdatedNode(
        node=node.id,
        name=node.name,
        site=node.site,
        runs=node.build,
        first=is_first,
        phase=report.phase if report else waiting,
        why=report.why if report else "",
    )
