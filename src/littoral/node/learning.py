"""Learning: each request's outcome teaches its endpoint's predictor; folds go to the gateway."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import anyio

from littoral.cost.length import Length, kind_of, leaned, seen
from littoral.cost.predictor import (
    COLD_OUTCOMES,
    Outcome,
    Predictor,
    fold,
    fresh,
    observe,
)
from littoral.cost.prior import measured
from littoral.domain.endpoint import Folded
from littoral.domain.flight import Flight
from littoral.domain.ids import EndpointId
from littoral.domain.units import Seconds
from littoral.domain.usage import CACHE, UsageRecord
from littoral.node.board import Board
from littoral.node.recollection import Recollection
from littoral.node.signal import Signal
from littoral.node.strain import Strains

EVERY = Seconds(0.25)
LOOK = Seconds(0.5)
SAMPLE = 64
"""Most outcomes learned from at one time: at thousands a second a sample is as good as all."""
REMEMBERED = 256
"""Finished requests kept to know who was served beside whom."""
MICRO = 1e-6
TAGS: Final = 1024
"""Pairs of tag, or key, and model whose answers' lengths are kept; that not asked longest goes."""
MOVED: Final = 0.1
"""Log strain by which the host must have changed before everything is folded anew."""


class Learning:
    """The predictors of this node's endpoints, and how long answers of each tag or key are.

    Args:
        board: Where folds go, and where an endpoint's slots are found.
        open_now: What requests under way have used until now.
        strains: How much others use this host.
        memory: What was learned before, or elsewhere; None: nothing was.
    """

    def __init__(
        self,
        board: Board,
        *,
        open_now: Callable[[], Sequence[UsageRecord]],
        strains: Strains,
        memory: Recollection | None = None,
    ) -> None:
        self._memory = memory
        self._met: dict[EndpointId, object] = {}
        """Endpoints of which nothing was known, and by which snapshot and inventory."""
        self._board = board
        self._open_now = open_now
        self._strains = strains
        self._predictors: dict[EndpointId, Predictor] = {}
        self._lengths: OrderedDict[str, Length] = OrderedDict()
        self._fresh: deque[Flight] = deque(maxlen=SAMPLE)
        self._recent: deque[UsageRecord] = deque(maxlen=REMEMBERED)
        self._version = 0
        self._folded = 1.0
        """The strain at which every endpoint was folded last."""
        self._arrived = Signal()

    def take(self, flights: Sequence[Flight]) -> None:
        """Take finished requests; what is too much is left out."""
        useful = [
            each
            for each in flights
            if each.record.status in {"ok", "cancelled"} and each.record.endpoint != CACHE
        ]
        self._fresh.extend(useful)
        self._recent.extend(each.record for each in useful)
        if useful:
            self._arrived.notify()

    async def run(self) -> None:
        """Learn and fold, at most every 250 ms, until cancelled."""
        while True:
            if not self._fresh:
                await self._arrived.wait()
            self._board.put_folds(self._learned(), self._told())
            await anyio.sleep(EVERY)

    async def watch(self, pace: float = 1.0) -> None:
        """Look how strained the host is, and say so where that changed, until cancelled.

        Args:
            pace: By how much more seldom than twice a second.
        """
        while True:
            self._strains.take(self._board.pids)
            now = self._strains.now
            if met := self._meet():
                self._board.put_folds(self._fold(met))
            if self._predictors and abs(math.log(now / self._folded)) > MOVED:
                self._board.put_folds(self._fold(list(self._predictors)))
                self._folded = now
            await anyio.sleep(LOOK * pace)

    def _meet(self) -> list[EndpointId]:
        """Begin with what is remembered of engines that are new here; returns these."""
        if self._memory is None:
            return []
        met: list[EndpointId] = []
        known = (self._board.snapshot, self._board.inventory)
        for endpoint in self._board.shown:
            if endpoint.id in self._predictors or self._met.get(endpoint.id) == known:
                continue
            self._met[endpoint.id] = known
            found = self._memory.begun(endpoint.id)
            if found is not None:
                self._predictors[endpoint.id] = found
                met.append(endpoint.id)
        return met

    def _learned(self) -> list[Folded]:
        beside = [*self._recent, *self._open_now()]
        touched: dict[EndpointId, None] = {}
        while self._fresh:
            flight = self._fresh.popleft()
            record = flight.record
            outcome = outcome_of(
                flight,
                beside=beside,
                slots=self._board.slots_of(record.endpoint),
                strain=self._strains.during(record.at_us, record.total_us),
                link_s=self._board.link_of(record.endpoint),
            )
            known = self._predictors.get(record.endpoint) or self._begun(record.endpoint)
            self._predictors[record.endpoint] = observe(known, outcome)
            kind = kind_of(tag=record.tag, key=record.key, model=record.model)
            self._hear(outcome, kind, record.predicted_us * MICRO)
            touched[record.endpoint] = None
        if self._memory is not None:
            self._memory.note(self._predictors[each] for each in touched)
        return self._fold(list(touched))

    def _begun(self, endpoint: EndpointId) -> Predictor:
        """A predictor that begins with what is remembered, else with what the probes say."""
        found = None if self._memory is None else self._memory.begun(endpoint)
        if found is not None:
            return found
        probes = [
            (each.tokens_in, each.tokens_out, each.first_s, each.total_s)
            for each in self._board.status().speeds
            if each.endpoint == endpoint
        ]
        return fresh(endpoint, prior=measured(probes))

    def _fold(self, endpoints: Sequence[EndpointId]) -> list[Folded]:
        self._version += 1
        strain = self._strains.now
        return [
            fold(
                self._predictors[each],
                version=self._version,
                strain=strain,
                link_s=self._board.link_of(each),
            )
            for each in endpoints
        ]

    def _hear(self, outcome: Outcome, kind: str, predicted_s: float) -> None:
        """Learn how long the answers of one kind of request are."""
        known = self._lengths.pop(kind, None) or Length()
        known = seen(known, outcome.tokens_out, cap=outcome.cap, cancelled=outcome.censored)
        if predicted_s > 0.0 and not outcome.censored:
            known = leaned(known, late=outcome.total_s > predicted_s, cap=outcome.cap)
        self._lengths[kind] = known
        if len(self._lengths) > TAGS:
            self._lengths.popitem(last=False)

    def _told(self) -> Mapping[str, tuple[int, float]]:
        """The lengths that are known well enough to be used."""
        return {
            kind: (max(1, round(each.expected)), each.width)
            for kind, each in self._lengths.items()
            if each.count >= COLD_OUTCOMES
        }


def outcome_of(
    flight: Flight,
    *,
    beside: Sequence[UsageRecord],
    slots: int,
    strain: float = 1.0,
    link_s: float = 0.0,
) -> Outcome:
    """Read a finished request as an outcome.

    Args:
        flight: The request.
        beside: Requests, itself included, that may have been under way when it came; one with
            ``total_us`` 0 still is.
        slots: How many its endpoint serves at once.
        strain: How much others used the host meanwhile.
        link_s: What the way there takes, seconds.
    """
    record = flight.record
    active = sum(
        1
        for each in beside
        if each.endpoint == record.endpoint
        and each.at_us <= record.at_us
        and (each.total_us == 0 or record.at_us < each.at_us + each.total_us)
    )
    return Outcome(
        tokens_in=record.tokens_in,
        tokens_cached=record.tokens_cached,
        tokens_out=record.tokens_out,
        active=max(0, active - 1),
        slots=slots,
        first_s=record.first_us * MICRO if record.streamed and record.first_us else None,
        total_s=record.total_us * MICRO,
        predicted_p90_s=record.predicted_p90_us * MICRO,
        censored=record.status == "cancelled",
        strain=strain,
        link_s=link_s,
        cap=flight.cap,
    )
