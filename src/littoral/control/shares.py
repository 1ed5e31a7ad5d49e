"""Shares: who holds what of each limit, divided anew where somebody runs short.

What is sent is on disk before: a control that dies, or is restored, never gives twice. Records of
limits that no longer are stay until no node holds anything of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from littoral.control.holdings import Holdings
from littoral.domain.errors import LittoralError
from littoral.domain.ids import NodeId
from littoral.domain.limits import NANO, Limits, period_named, period_of
from littoral.domain.ports import Clock, Failpoints, State
from littoral.domain.reach import Spot
from littoral.domain.share import (
    NOTHING,
    WHOLE,
    Draw,
    Drawn,
    Holding,
    Party,
    Shares,
    Slice,
    believed,
    divide,
    is_over,
    share_name,
    whole,
)
from littoral.domain.units import Micros
from littoral.domain.view import ShareView

AHEAD_US: Final = 600_000_000
"""By how much a node's clock may be ahead of ours and still say that a period is over."""
MANY: Final = 200
"""Slices of one frame."""


@dataclass(slots=True, kw_only=True)
class _Talk:
    """A session: what its node said it holds, and what it is to be sent."""

    draws: dict[str, Draw] = field(default_factory=dict[str, Draw])
    heard: bool = False
    number: int = 0
    last: dict[str, int] = field(default_factory=dict[str, int])
    due: dict[str, Slice] = field(default_factory=dict[str, Slice])
    beyond: set[str] = field(default_factory=set[str])
    """Of which it said that it holds more than it was given: it is told again what that is."""


class Roll(Protocol):
    """The nodes that there are: ``Fleet`` is one."""

    def spots(self) -> Mapping[NodeId, Spot]:
        """Where each stands."""
        ...


class Issuing(Protocol):
    """Issues snapshots: ``Publisher`` is one."""

    @property
    def epoch(self) -> int:
        """Of the state."""
        ...

    def ends(self, node: NodeId) -> Micros:
        """When the last snapshot of a node ends, or ended; 0 where it has no end."""
        ...


class ShareBook:
    """Records and divisions. Its calls touch the state: one at a time, in a worker.

    Args:
        state: Where records are kept.
        clock: For periods.
        fleet: The nodes that may hold something; others are no more, and what they held is free
            once their last snapshot has ended.
        publisher: Where the epoch of the state is another one than the records', the state was
            restored, and they are in doubt.
        failpoints: ``shares.given`` stands behind what is written down of a division.
    """

    def __init__(
        self,
        state: State,
        clock: Clock,
        *,
        fleet: Roll,
        publisher: Issuing,
        failpoints: Failpoints,
    ) -> None:
        self._clock = clock
        self._fleet = fleet
        self._publisher = publisher
        self._failpoints = failpoints
        self._limits: Mapping[str, Limits] | None = None
        self._talks: dict[NodeId, _Talk] = {}
        self._stale: set[str] = set()
        self._over: set[str] = set()
        """Of which nodes may use too much together, while some cannot be told."""
        self._holdings = Holdings(state, epoch=publisher.epoch)
        self._records = self._holdings.rows

    def _has_said(self, node: NodeId) -> bool:
        """Whether a session is open in which a node has said everything."""
        talk = self._talks.get(node)
        return talk is not None and talk.heard

    # sessions

    def opened(self, node: NodeId) -> None:
        """A session of a node begins; it has said nothing yet."""
        self._talks[node] = _Talk()

    def ended(self, node: NodeId) -> None:
        """It has ended: the node cannot be told anything."""
        self._talks.pop(node, None)

    def heard(self, node: NodeId, frame: Drawn) -> bool:
        """A node says what it holds; whether something is to be divided anew."""
        talk = self._talks.get(node)
        if talk is None:
            return False
        if frame.begins:
            self._talks[node] = talk = _Talk(number=talk.number)
        for name, draw in frame.draws.items():
            self._hear(node, talk, name=name, draw=draw, number=frame.number)
        if not talk.heard and frame.complete:
            talk.heard = True
            self._complete(node, talk)
        if self._limits is not None:
            self._stale |= self._records.keys() - self._limits.keys()
        return bool(self._stale)

    def _hear(self, node: NodeId, talk: _Talk, *, name: str, draw: Draw, number: int) -> None:
        before = self._records.setdefault(name, {}).get(node, Holding())
        talk.draws[name] = draw
        if talk.heard and number < talk.last.get(name, 0):
            return  # said before it took what it was sent last
        if before.sure and not _is_known(draw, before):
            self._doubt(name, node)
        held = self._believed(name, node, draw=draw, before=before)
        (talk.beyond.discard if held == draw.held else talk.beyond.add)(name)
        # What was given but has not left yet is not answered by this.
        self._put(name, node, Holding(held=held, sent=talk.due.get(name)))
        if draw.tight or draw.held != before.held or before.sent is not None:
            self._stale.add(name)

    def _believed(self, name: str, node: NodeId, *, draw: Draw, before: Holding) -> Slice:
        """What counts of what a node says: no more than it was given, as far as that is known.

        Who is alone with a limit may have all of it: nobody had to divide it.
        """
        limits = (self._limits or {}).get(name)
        if limits is None or not before.sure:
            return draw.held
        since = draw.held.since
        total = whole(limits, since)
        alone = before.empty and all(
            each.empty for other, each in self._records[name].items() if other != node
        )
        given = total if alone else before.bound(since, total)
        return believed(draw.held, given, total, taken=draw.taken)

    def _complete(self, node: NodeId, talk: _Talk) -> None:
        """A node has said everything: of what it did not mention it holds nothing."""
        for name, row in self._records.items():
            if node in row and name not in talk.draws:
                self._put(name, node, Holding())
        self._stale |= self._over
        for name in self._limits or ():
            holding = self._records.get(name, {}).get(node)
            if holding is None or not holding.held.rate:
                self._stale.add(name)

    def _doubt(self, name: str, node: NodeId) -> None:
        """A node holds what is not on record: the record is old, and says nothing of others."""
        for other, holding in self._records[name].items():
            if other != node and other not in self._talks:
                self._put(name, other, replace(holding, sure=False))

    def is_heard(self, node: NodeId) -> bool:
        """Whether a node has said in this session what it holds."""
        talk = self._talks.get(node)
        return talk is None or talk.heard

    def due(self, node: NodeId) -> tuple[Shares, ...]:
        """What is to be sent to a node now."""
        talk = self._talks.get(node)
        if talk is None or not talk.due:
            return ()
        names = sorted(talk.due)
        frames: list[Shares] = []
        for at in range(0, len(names), MANY):
            talk.number += 1
            part = names[at : at + MANY]
            talk.last.update(dict.fromkeys(part, talk.number))
            frames.append(Shares(number=talk.number, slices={n: talk.due[n] for n in part}))
        talk.due.clear()
        return tuple(frames)

    def views(self) -> tuple[ShareView, ...]:
        """Who holds what, by limit and node."""
        rows = sorted(self._records.items())
        return tuple(self._view(name, node) for name, row in rows for node in sorted(row))

    def _view(self, name: str, node: NodeId) -> ShareView:
        holding, talk = self._records[name][node], self._talks.get(node)
        limit, _, word = name.partition("|")
        draw = talk.draws.get(name) if talk else None
        limits = (self._limits or {}).get(name)
        held = holding.held
        return ShareView(
            limit=limit,
            node=node,
            period=period_named(word),
            since_us=held.since,
            cap=limits.budget.amount if limits and limits.budget else 0.0,
            money=held.amount / NANO,
            standing=held.standing / NANO,
            taken=draw.taken / NANO if draw else 0.0,
            rate=round(held.rate / WHOLE, 4),
            concurrent=held.open,
            connected=talk is not None,
            waiting=holding.sent is not None,
            doubtful=not holding.sure,
            beyond=talk is not None and name in talk.beyond,
        )

    # divisions

    def limited(self, limits: Mapping[str, Limits]) -> Iterable[NodeId]:
        """These are the limits now, by limit id; returns for whom there is something to send."""
        now = {share_name(name, each): each for name, each in limits.items()}
        if self._holdings.restored:
            unheard = [node for node in self._fleet.spots() if not self._has_said(node)]
            self._holdings.doubt(now, unheard)
        if now == self._limits:
            return ()
        known = self._limits or {}
        changed = {name for name in now if now[name] != known.get(name)}
        self._limits = now
        self._stale |= changed
        return self.divide()

    def divide(self) -> Iterable[NodeId]:
        """Divide what changed; all that is to be sent is on disk when this returns.

        Nothing is before the limits are known.

        Raises:
            LittoralError: It cannot be written down: nothing is sent, and it is tried again.
        """
        if self._limits is None:
            return ()
        stale, self._stale = self._stale, set()
        known, ready = set(self._fleet.spots()), list[tuple[str, NodeId, Slice]]()
        for name in sorted(stale):
            for node, given in self._divided(name, known).items():
                holding = self._records.setdefault(name, {}).get(node, Holding())
                self._records[name][node] = replace(holding, sent=given)
                ready.append((name, node, given))
        try:
            self._holdings.write(stale)
            if ready:
                self._failpoints.hit("shares.given")
        except LittoralError:
            for name, node, _ in ready:
                self._records[name][node] = replace(self._records[name][node], sent=None)
            self._stale |= stale
            raise
        for name, node, given in ready:
            self._talks[node].due[name] = given
        return dict.fromkeys(node for _, node, _ in ready)

    def _divided(self, name: str, known: set[NodeId]) -> Mapping[NodeId, Slice]:
        row = self._records.setdefault(name, {})
        since, now = self._since(name, row), self._clock.wall()
        for node in [each for each in row if each not in known and each not in self._talks]:
            row[node] = _left_by(row[node], since=since, over=self._publisher.ends(node) <= now)
        limits = (self._limits or {}).get(name)
        parties = {node: Party(holding=holding) for node, holding in row.items()}
        for node, talk in self._talks.items():
            if talk.heard:
                holding = row.get(node, Holding())
                draw = talk.draws.get(name, Draw(held=holding.held))
                parties[node] = Party(holding=holding, draw=replace(draw, held=holding.held))
        total = whole(limits, since) if limits else NOTHING
        over = is_over(total, parties, since=since)
        (self._over.add if over else self._over.discard)(name)
        found = dict(divide(total, parties, since=since))
        for node, talk in self._talks.items():
            party = parties.get(node)
            if name in talk.beyond and party is not None and party.settled:
                found.setdefault(node, party.holding.held)
        return found

    def _since(self, name: str, row: Mapping[NodeId, Holding]) -> int:
        """The period now; where a node is in the next one already, that."""
        period = period_named(name.partition("|")[2])
        if period is None:
            return 0
        now = self._clock.wall()
        last = period_of(period, now + AHEAD_US)[0]
        slices = (each for one in row.values() for each in (one.held, one.sent) if each)
        later = [each.since for each in slices if each.since <= last]
        return max([period_of(period, now)[0], *later])

    def _put(self, name: str, node: NodeId, holding: Holding) -> None:
        row = self._records.setdefault(name, {})
        if row.get(node) != holding:
            row[node] = holding
            self._stale.add(name)


def _is_known(draw: Draw, before: Holding) -> bool:
    """Whether a node holds what is on record, as far as time and use may have changed it."""
    if before.empty or draw.held.empty:
        return True
    held = draw.held
    return any(
        (held.rate, held.standing) == (each.rate, each.standing)
        and held.amount in {each.money_in(held.since), draw.taken}
        for each in (before.held, before.sent)
        if each is not None
    )


def _left_by(holding: Holding, *, since: int, over: bool) -> Holding:
    """What a node that is no more may still use: once its time is over, what it had spent stays."""
    if not over:
        return holding
    held = holding.held
    if held.since != since or not held.amount:
        return Holding()
    return Holding(held=Slice(since=held.since, amount=held.amount))
