"""Tables: what the gateway serves from, built beside the old ones and swapped by one assignment."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Endpoint, Folded
from littoral.domain.flight import cost_of
from littoral.domain.ids import EndpointId, ProjectId
from littoral.domain.limits import limit_ids
from littoral.domain.loads import Loads
from littoral.domain.placement import Candidate
from littoral.domain.project import Keeping, KeyGrant
from littoral.domain.reach import HOME, Spot
from littoral.domain.snapshot import Snapshot
from littoral.gateway.breaker import Breaker, Throttle
from littoral.gateway.keyrow import KeyRow
from littoral.gateway.operation import heads_of
from littoral.gateway.quota import Gate, gates_of
from littoral.gateway.split import Split, split_of
from littoral.gateway.traffic import Traffic
from littoral.gateway.wanted import Under, Wanted, harm_of
from littoral.gateway.way import lies_within, route_of, same_door, unmeasured
from littoral.placement.decide import Row, row_of
from littoral.placement.filters import CAPABILITIES
from littoral.placement.policy import barred, others, price_of

_SERVING: Final = frozenset({"ready", "degraded"})


class Place:
    """One endpoint: where requests go, and how many are there now."""

    __slots__ = (
        "breaker",
        "cap",
        "context",
        "ejected",
        "endpoint",
        "heads",
        "in_flight",
        "loads",
        "lot",
        "mends",
        "model",
        "names",
        "node",
        "price_in",
        "price_out",
        "priced",
        "remote",
        "route",
        "row",
        "throttle",
        "trial",
        "under",
        "via",
        "watched",
    )

    def __init__(self, endpoint: Endpoint, folded: Folded, node: str, *, here: Spot = HOME) -> None:
        self.in_flight = 0
        self.loads: Loads | None = None
        self.lot = 0
        self.under: dict[int, Under] = {}
        """By slot: requests here whose policy has a deadline."""
        self.breaker = Breaker()
        self.throttle = Throttle() if endpoint.remote else None
        self.watched = self.throttle is not None
        """Whether a success must be told to ``health``."""
        self.ejected = self.trial = False
        """Left alone because it failed; but the next request may try it."""
        self.node = node
        self.heads = heads_of(endpoint)
        self.names = f"\n{endpoint.serves}\n{endpoint.deployment}\n{endpoint.id}".encode()
        self.renew(endpoint, folded, here=here)

    def renew(self, endpoint: Endpoint, folded: Folded, *, here: Spot) -> None:
        """Take a new state or new coefficients; ``here`` is where this node stands."""
        self.endpoint = endpoint
        self.via = endpoint.via
        self.route = f"{route_of(endpoint, self.node)}; ".encode()
        self.cap = endpoint.max_tokens
        self.mends = not endpoint.exact
        self.remote = endpoint.remote and endpoint.via is None
        self.context = endpoint.context
        self.model = endpoint.engine_model or endpoint.serves
        self.price_in, self.price_out = endpoint.price_in, endpoint.price_out
        self.priced = bool(endpoint.price_in or endpoint.price_out)
        self.row = _row(endpoint, folded, here)

    def seen(self) -> Row:
        """The row as it counts now: a place that is left alone is not ready."""
        return self.row._replace(ready=False) if self.ejected and not self.trial else self.row

    def enter(self) -> None:
        """One more request is here."""
        self.in_flight += 1
        if self.loads is not None:
            self.loads.put(self.lot, self.in_flight)

    def leave(self) -> None:
        """One request less is here."""
        self.in_flight -= 1
        if self.loads is not None:
            self.loads.put(self.lot, self.in_flight)

    def part(self, slot: int) -> None:
        """The request in a slot of the flight table is no longer here."""
        self.leave()
        if self.under:
            self.under.pop(slot, None)

    def load(self) -> int:
        """How many requests are here, those of other gateways too."""
        shared = self.loads
        return self.in_flight if shared is None else self.in_flight + shared.elsewhere(self.lot)

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """Money of one request here."""
        return cost_of(tokens_in, tokens_out, price_in=self.price_in, price_out=self.price_out)


class ModelRow:
    """A name that clients ask for, the places that serve it, and its limits."""

    __slots__ = (
        "barred",
        "expected_length",
        "expected_out",
        "flat",
        "gates",
        "name",
        "places",
        "queue",
        "retries",
        "revision",
        "rows",
        "split",
        "traffic",
    )

    def __init__(self, name: str, places: Sequence[Place], traffic: Traffic) -> None:
        self.name = name
        self.split: Split | None = None
        self.gates: tuple[Gate, ...] = ()
        self.places = tuple(places)
        self.look()
        self.traffic = traffic
        self.queue = traffic.queue
        self.retries = traffic.retries
        self.revision = b""
        self.expected_out = 128
        self.expected_length = 0.0
        self.barred: dict[str, int] = {}

    def among(self, places: Sequence[Place]) -> "ModelRow":
        """The same name with some of its places only: no limits, no split, nothing to remember."""
        row = ModelRow(self.name, places, self.traffic)
        row.expected_out, row.expected_length = self.expected_out, self.expected_length
        return row

    def bar(self, wanted: Wanted) -> int:
        """Positions that a policy does not allow, as bits."""
        scope = wanted.scope
        found = self.barred.get(scope)
        if found is None:
            deployments = [place.endpoint.deployment for place in self.places]
            found = self.barred[scope] = barred(
                wanted.spec, deployments, tag=wanted.tag, standing=wanted.standing
            )
        return found

    def allow(self, wanted: Wanted | None) -> None:
        """Let a policy bar nobody here: who chose these places has looked at what it lists."""
        if wanted is not None:
            self.barred[wanted.scope] = 0

    def outside(self, deployment: str) -> int:
        """Positions of all other deployments, as bits."""
        return others([place.endpoint.deployment for place in self.places], deployment)

    def price(self, wanted: Wanted, tokens_in: int) -> float:
        """What it costs to miss a policy's deadline; 0 where that has no price."""
        if wanted.spec.miss_cost is None:
            return 0.0
        dearest = max((p.cost(tokens_in, self.expected_out) for p in self.places), default=0.0)
        return price_of(wanted.spec.miss_cost, dearest)

    def weigh(self, now: float) -> None:
        """See what one more request would do to those that have deadlines at each place."""
        for at, place in enumerate(self.places):
            row = self.rows[at]
            if not place.under and not row.harm:
                continue
            delay_s = row.t_crowd * self.expected_out
            harm = harm_of(tuple(place.under.values()), now, delay_s=delay_s)
            self.rows[at] = row = row._replace(harm=harm)
            self.flat[at] = cast("Row", tuple(row))

    def look(self) -> None:
        """See the places as they are now; ``flat`` are the rows for ``rank``.

        To unpack a plain tuple costs a fifth of unpacking a named one.
        """
        self.rows = [place.seen() for place in self.places]
        self.flat = [cast("Row", tuple(row)) for row in self.rows]


class Tables:
    """Keys and models of one moment. ``number`` rises when keys change: memos end with it."""

    __slots__ = ("created", "grants", "keeping", "keys", "models", "number", "pepper")

    def __init__(self) -> None:
        self.number = 0
        self.created = 0
        self.pepper = b""
        self.grants: Mapping[str, KeyGrant] = {}
        self.keeping: Mapping[ProjectId, Keeping] = {}
        self.keys: Mapping[str, KeyRow] = {}
        self.models: Mapping[str, ModelRow] = {}


class Source:
    """The last snapshot, endpoints and folds, from which tables are built.

    Args:
        node: This node's name, for ``x-littoral-route``.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self._snapshot: Snapshot | None = None
        self._here = HOME
        self._limit_rows: Mapping[str, int] = {}
        self._ended = False
        self._gates: Mapping[str, Gate] = {}
        self._endpoints: Sequence[Endpoint] = ()
        self._folds: dict[EndpointId, Folded] = {}
        self.lengths: Mapping[str, tuple[int, float]] = {}
        """By kind of request: the median of answers, tokens, and its width."""
        self._places: dict[EndpointId, Place] = {}
        self.traffic: dict[str, Traffic] = {}
        self.tables = Tables()
        self.loads: Loads | None = None
        self._lots: Mapping[EndpointId, int] = {}

    @property
    def served(self) -> bool:
        """Whether a snapshot has come."""
        return self._snapshot is not None

    @property
    def serves(self) -> tuple[int, int]:
        """(epoch, version) of the last snapshot; (0, 0) without one."""
        return (0, 0) if self._snapshot is None else (self._snapshot.epoch, self._snapshot.version)

    def places(self) -> Iterable[Place]:
        """Every place that now takes requests."""
        return self._places.values()

    def take_snapshot(self, snapshot: Snapshot, rows: Mapping[str, int]) -> None:
        """Build new keys and models.

        Args:
            snapshot: What to serve.
            rows: Where each limit of it is counted.
        """
        self._snapshot, self._limit_rows = snapshot, rows
        self._here = snapshot.neighbours.get(snapshot.node, HOME)
        self._gates = gates_of(snapshot.limits, rows)
        old = self.tables
        new = Tables()
        new.number = old.number + 1
        new.created = snapshot.issued_us // 1_000_000
        new.pepper = snapshot.pepper
        new.keeping = snapshot.keeping
        new.grants = {grant.id: grant for grant in snapshot.keys}
        settings = {each.project: each for each in snapshot.traffic}
        standings = {each.policy: each for each in snapshot.standings}
        keys: dict[str, KeyRow] = {}
        for grant in snapshot.keys:
            row = keys[grant.id] = KeyRow(grant, self._gates_of(grant))
            if grant.project in settings:
                row.share(settings[grant.project])
            row.heed(snapshot.policies, standings)
            if self._ended and not grant.survives:
                row.lapse()
        new.keys = keys
        new.models = self._models()
        self.tables = new

    def take_end(self, *, ended: bool) -> None:
        """Begin or end to serve with keys that survive, and from this node's engines, only."""
        if ended != self._ended:
            self._ended = ended
            if self._snapshot is not None:
                self.take_snapshot(self._snapshot, self._limit_rows)

    def take_endpoints(
        self, endpoints: Sequence[Endpoint], lots: Mapping[EndpointId, int] | None = None
    ) -> None:
        """Build new models; keys and memos stay.

        Args:
            endpoints: All of them.
            lots: Where their loads are shared with other gateways.
        """
        self._lots = lots or {}
        self._endpoints = sorted(endpoints, key=lambda endpoint: endpoint.id)
        self.tables.models = self._models()

    def take_folds(
        self, folds: Sequence[Folded], lengths: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        """Give endpoints new coefficients, and keys other lengths of their answers."""
        if lengths is not None:
            self.lengths = lengths
        self._folds.update((fold.endpoint, fold) for fold in folds)
        self.tables.models = self._models()

    def _models(self) -> dict[str, ModelRow]:
        assignments = self._snapshot.assignments if self._snapshot else ()
        served: dict[str, list[Place]] = {each.serves: [] for each in assignments}
        places: dict[EndpointId, Place] = {}
        for endpoint in self._endpoints:
            if self._ended and (endpoint.remote or endpoint.via is not None):
                continue
            place = places[endpoint.id] = self._place(endpoint)
            served.setdefault(endpoint.serves, []).append(place)
        self._places = places
        rows: dict[str, ModelRow] = {}
        for name, members in sorted(served.items()):
            row = rows[name] = ModelRow(name, members, self.traffic.get(name) or Traffic(name))
            row.gates = self._known(limit_ids("", "", name)[2])
            folds = [self._folds[p.endpoint.id] for p in members if p.endpoint.id in self._folds]
            if folds:
                longest = max(folds, key=lambda fold: fold.out_p50)
                row.expected_out, row.expected_length = longest.out_p50, longest.length
        gone = {n: kept for n, kept in self.traffic.items() if n not in rows and kept.queue.count}
        self.traffic = gone | {name: row.traffic for name, row in rows.items()}
        for name, row in rows.items():
            row.revision = _revision(name, assignments)
            row.split = split_of([place.endpoint.deployment for place in row.places], assignments)
            row.traffic.line.expect(_target_s(name, assignments))
            row.traffic.slots = sum(place[4] for place in row.rows if place.ready) or 1
        return rows

    def _gates_of(self, grant: KeyGrant) -> tuple[Gate, ...]:
        return self._known(*limit_ids(grant.id, grant.project, "")[:2])

    def _known(self, *names: str) -> tuple[Gate, ...]:
        return tuple(self._gates[name] for name in names if name in self._gates)

    def _place(self, endpoint: Endpoint) -> Place:
        folded = self._folds.get(endpoint.id) or unmeasured(endpoint)
        place = self._places.get(endpoint.id)
        if place is not None and same_door(place.endpoint, endpoint):
            place.renew(endpoint, folded, here=self._here)
            return place
        place = Place(endpoint, folded, self.node, here=self._here)
        if self.loads is not None and endpoint.id in self._lots:
            place.loads, place.lot = self.loads, self._lots[endpoint.id]
        return place


def _revision(name: str, assignments: Iterable[Assignment]) -> bytes:
    """What serves a name now: the deployments and their revisions."""
    serving = [f"{each.name}@{each.revision}" for each in assignments if each.serves == name]
    return " ".join(sorted(serving)).encode()


def _target_s(name: str, assignments: Iterable[Assignment]) -> float | None:
    """How long requests for a name may wait: half the strictest objective of its deployments."""
    objectives = [a.first_token_ms for a in assignments if a.serves == name and a.first_token_ms]
    return min(objectives) / 2000 if objectives else None


def _row(endpoint: Endpoint, folded: Folded, here: Spot) -> Row:
    reachable = endpoint.address is not None or endpoint.via is not None
    ready = endpoint.state in _SERVING and reachable
    candidate = Candidate(
        id=endpoint.id,
        ready=ready,
        slots=endpoint.slots,
        in_flight=0,
        context=endpoint.context,
        capabilities=frozenset(endpoint.capabilities if ready else CAPABILITIES),
        price_in=endpoint.price_in,
        price_out=endpoint.price_out,
        within=frozenset(lies_within(endpoint, here)),
    )
    return row_of(candidate, folded)
