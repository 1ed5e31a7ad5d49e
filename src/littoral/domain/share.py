"""Shares: how a limit of the whole cluster is divided among its nodes, so that each counts alone.

A node admits what its slice allows and asks nobody. Control enlarges a slice only by what no other
node can use, whatever frames were lost and whoever crashed:

    sum over nodes of max(slice that it said it holds, slice that was sent to it since) <= limit

So a slice is lowered first, and what is freed is given to others once the node has said that it
holds the smaller one. A node that had already used more keeps, and says, what it has used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from littoral.domain.ids import NodeId
from littoral.domain.limits import NO_PERIOD, Limits, nanos
from littoral.domain.units import Micros

WHOLE: Final = 1 << 16
"""Parts of a limit a minute; a node that has all of them has the limit to itself."""
COARSE: Final = 20
FINE: Final = 200
"""The least part of a limit that is worth moving: while nobody is short, and where somebody is."""
IDLE_PART: Final = 10
"""One part of so many is divided evenly, the rest by demand: an idle node can begin at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one node may use of one limit without asking anybody.

    ``amount`` is money (nano-units) in the period that begins at ``since``, ``standing`` money in
    each later one; ``rate`` are parts of ``WHOLE`` of what may be used a minute, ``open`` are
    requests at one time.
    """

    since: Micros = Micros(0)
    amount: int = 0
    standing: int = 0
    rate: int = 0
    open: int = 0

    @property
    def empty(self) -> bool:
        """Whether it allows nothing, ever."""
        return not (self.amount or self.standing or self.rate or self.open)

    def money_in(self, since: int) -> int:
        """Money that it allows in a period, which is its own or a later one."""
        return self.amount if since == self.since else self.standing


NOTHING: Final = Slice()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a node says of its slice: it holds this, and has used so much.

    ``taken`` is money spent or reserved in the slice's own period. ``demand`` are requests, also
    those refused, of late; ``want`` is money of the largest refused one. ``tight``: it may soon
    have to refuse, or does.
    """

    held: Slice = NOTHING
    taken: int = 0
    demand: float = 0.0
    want: int = 0
    tight: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What control knows of a node's slice.

    ``held`` is what the node said last, ``sent`` what it has not answered yet. Not ``sure``:
    control was restored from older data, and the node may hold anything.
    """

    held: Slice = NOTHING
    sent: Slice | None = None
    sure: bool = True

    @property
    def empty(self) -> bool:
        """Whether the node certainly has nothing."""
        return self.sure and self.sent is None and self.held.empty

    def bound(self, since: int, total: Slice) -> Slice:
        """The most that the node may use, as of a period that is its own or a later one."""
        if not self.sure:
            return total
        return most((self.held,) if self.sent is None else (self.held, self.sent), since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One node at a division; ``draw`` is None where it cannot be told anything now."""

    holding: Holding
    draw: Draw | None = None

    @property
    def settled(self) -> bool:
        """Whether it may be sent another slice: it is there, and has answered the last one."""
        return self.draw is not None and self.holding.sent is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Control to node: hold these slices from now on, and say so with this number."""

    number: int
    slices: Mapping[str, Slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Node to control: slices that it holds, and what it has used of them.

    ``number`` is of the last ``Shares`` of this session that it took, 0 before any. A session
    begins with all slices, in frames of which the first ``begins`` and the last is ``complete``.
    """

    number: int
    draws: Mapping[str, Draw]
    begins: bool = False
    complete: bool = True


def share_name(limit: str, limits: Limits) -> str:
    """The name under which a limit is divided: another period is another budget."""
    return f"{limit}|{limits.budget.period if limits.budget else NO_PERIOD}"


def whole(limits: Limits, since: int = 0) -> Slice:
    """All of a limit."""
    money = nanos(limits.budget.amount) if limits.budget else 0
    return Slice(
        since=Micros(since), amount=money, standing=money, rate=WHOLE, open=limits.concurrent or 0
    )


def slowed(interval_ns: int, rate: int) -> int:
    """The nanoseconds in which one unit comes back to who has so many parts; 0 for none."""
    return -(-interval_ns * WHOLE // rate) if rate else 0


def most(slices: Iterable[Slice], since: int) -> Slice:
    """What any of these slices allows, as of one period."""
    found = tuple(slices)
    return Slice(
        since=Micros(since),
        amount=max(each.money_in(since) for each in found),
        standing=max(each.standing for each in found),
        rate=max(each.rate for each in found),
        open=max(each.open for each in found),
    )


def believed(said: Slice, given: Slice, total: Slice, *, taken: int) -> Slice:
    """What of a slice that a node says it holds can be: what it was given, and what it has used.

    It may have used more than it was given, before there was such a limit or share.

    Args:
        said: By the node.
        given: By control, the most of it, as of the same period.
        total: The limit.
        taken: Money that it says is spent or reserved.
    """
    return replace(
        said,
        amount=min(said.amount, max(given.amount, taken)),
        standing=min(said.standing, given.standing),
        rate=min(said.rate, given.rate),
        open=min(said.open, max(given.open, total.open)),
    )


def taken_up(given: Slice, *, since: int, taken: int, under_way: int) -> Slice:
    """The slice that a node holds once it was given one: never less than what is used already.

    Args:
        given: By control, for a period that the node was in when it last said so.
        since: The node's period now.
        taken: Money spent or reserved in it.
        under_way: Requests open now.
    """
    allowed = given.money_in(since) if since >= given.since else 0
    return replace(
        given,
        since=Micros(since),
        amount=max(allowed, taken),
        open=max(given.open, under_way),
    )


def is_over(total: Slice, parties: Mapping[NodeId, Party], *, since: int) -> bool:
    """Whether nodes may use more than the limit together: it was lowered, and not all know."""
    bounds = {name: party.holding.bound(since, total) for name, party in parties.items()}
    return any(
        sum(_of(bounds, field).values()) > _size(total, field)
        for field in ("standing", "rate", "open")
    )


def divide(total: Slice, parties: Mapping[NodeId, Party], *, since: int) -> Mapping[NodeId, Slice]:
    """Say which nodes to send another slice.

    Args:
        total: The limit.
        parties: Every node that may hold a slice, and those that shall.
        since: The period: control's, or a later one in which some node is.

    Returns:
        New slices of those that can be told, and whose slice changes enough to be worth it. Sent
        in any order, and lost or not, they allow no more than ``total`` together with all others.
        None while a node is in doubt: everybody keeps what he has.
    """
    if not all(party.holding.sure for party in parties.values()):
        return {}
    here = {name: party.draw for name, party in parties.items() if party.draw is not None}
    bounds = {name: party.holding.bound(since, total) for name, party in parties.items()}
    short = is_over(total, parties, since=since) or any(draw.tight for draw in here.values())
    calm = not short and all(bounds[name].rate for name in here)
    given: dict[str, Mapping[NodeId, int]] = {}
    for field, targets in _targets(total, here, bounds, since=since).items():
        had = _of(bounds, field)
        wished = {n: max(size, had[n]) for n, size in targets.items()} if calm else targets
        order = sorted(here, key=lambda name: (not here[name].tight, name))
        given[field] = _granted(wished, had, total=_size(total, field), order=order)
    found: dict[NodeId, Slice] = {}
    for name, draw in here.items():
        new = _new(draw.held, {field: each[name] for field, each in given.items()}, since)
        least = FINE if short else COARSE
        if parties[name].settled and _is_worth(draw.held, new, total, least=least):
            found[name] = new
    return found


def _targets(
    total: Slice, here: Mapping[NodeId, Draw], bounds: Mapping[NodeId, Slice], *, since: int
) -> Mapping[str, Mapping[NodeId, int]]:
    """What each node that is here should have, by field of a slice."""
    weights = _weights(here)
    taken = {n: draw.taken if draw.held.since == since else 0 for n, draw in here.items()}
    wants = {n: draw.want for n, draw in here.items() if draw.want}
    left = total.amount - sum(taken.values())
    money = _share(left, _of(bounds, "amount"), weights, here=here, wants=wants)
    return {
        "amount": {name: money[name] + taken[name] for name in here},
        **{
            field: _share(_size(total, field), _of(bounds, field), weights, here=here)
            for field in ("standing", "rate", "open")
        },
    }


def _size(of: Slice, field: str) -> int:
    return {"amount": of.amount, "standing": of.standing, "rate": of.rate, "open": of.open}[field]


def _of(slices: Mapping[NodeId, Slice], field: str) -> Mapping[NodeId, int]:
    return {name: _size(each, field) for name, each in slices.items()}


def _weights(here: Mapping[NodeId, Draw]) -> Mapping[NodeId, int]:
    """By demand, but for a small part for everybody."""
    demand = {name: round(draw.demand * 1000) for name, draw in here.items()}
    total = sum(demand.values())
    if not total:
        return dict.fromkeys(here, 1)
    by_demand = (IDLE_PART - 1) * len(here)
    return {name: total + by_demand * each for name, each in demand.items()}


def _share(
    size: int,
    bounds: Mapping[NodeId, int],
    weights: Mapping[NodeId, int],
    *,
    here: Mapping[NodeId, Draw],
    wants: Mapping[NodeId, int] | None = None,
) -> dict[NodeId, int]:
    """Divide what absent nodes leave of a size; whole units, in all at most that."""
    left = max(0, size - sum(bound for name, bound in bounds.items() if name not in here))
    found = dict.fromkeys(here, 0)
    for name, want in sorted((wants or {}).items(), key=lambda each: (each[1], each[0])):
        if want <= left:
            found[name] = want
            left -= want
    scale = sum(weights.values())
    for name in here:
        found[name] += left * weights[name] // scale
    spare = left - sum(left * weights[name] // scale for name in here)
    first = sorted(here, key=lambda n: (-(left * weights[n] % scale), -bounds[n], n))
    for name in first[:spare]:
        found[name] += 1
    return found


def _granted(
    targets: Mapping[NodeId, int],
    bounds: Mapping[NodeId, int],
    *,
    total: int,
    order: Iterable[NodeId],
) -> Mapping[NodeId, int]:
    """What each may get now: less at once, more only of what nobody can use."""
    free = max(0, total - sum(bounds.values()))
    given: dict[NodeId, int] = {}
    for name in order:
        rise = min(free, max(0, targets[name] - bounds[name]))
        free -= rise
        given[name] = min(targets[name], bounds[name] + rise)
    return given


def _new(held: Slice, given: Mapping[str, int], since: int) -> Slice:
    """The slice to send; who is in an earlier period gets no more money until it says otherwise."""
    behind = held.since != since
    return Slice(
        since=held.since,
        amount=held.amount if behind else given["amount"],
        standing=min(held.standing, given["standing"]) if behind else given["standing"],
        rate=given["rate"],
        open=given["open"],
    )


def _is_worth(old: Slice, new: Slice, total: Slice, *, least: int) -> bool:
    """Whether a change is large enough; from nothing to something always is."""
    for field in ("amount", "standing", "rate", "open"):
        before, after = _size(old, field), _size(new, field)
        if before != after and (not before or abs(after - before) * least >= _size(total, field)):
            return True
    return False
