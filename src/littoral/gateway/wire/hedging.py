"""Hedging: a second try, elsewhere, for a request whose first try is unusually slow to answer."""

from abc import abstractmethod
from typing import Final, Protocol

from littoral.gateway import health
from littoral.gateway.hedge import Hedge
from littoral.gateway.table import Place
from littoral.gateway.wire.adapting import Adapting
from littoral.gateway.wire.upstream import Engine
from littoral.placement.decide import NEAR, Verdict

REFUSED: Final = frozenset({400, 413, 422})
"""What an engine answers where the request is wrong: another one would say the same."""


class _Racer(Protocol):
    """The exchange, as its second try sees it."""

    def rival_read(self, engine: Engine) -> None:
        """The second try is being answered."""
        ...

    def rival_lost(self) -> None:
        """The second try is over without an answer."""
        ...


class Rival:
    """A second try: where it went, and what it waits on."""

    def __init__(self, racer: _Racer, place: Place, verdict: Verdict) -> None:
        self._racer = racer
        self.place = place
        self.verdict = verdict
        self.engine: Engine | None = None

    def engine_read(self, engine: Engine) -> None:
        """Reply bytes came."""
        self._racer.rival_read(engine)

    def engine_lost(self, engine: Engine, reason: str) -> None:
        """The connection is gone; one from the pool may have been so before it was used."""
        del reason
        if engine.stale:
            self.engine = engine.pool.dial(self, engine.pending)
        else:
            self._racer.rival_lost()


class Hedging(Adapting):
    """The race of two tries; the first answer wins, the other try is cut off."""

    _rival: Rival | None
    _hedge: Hedge | None = None

    @abstractmethod
    def message(self, place: Place) -> bytes:
        """The request as it is sent to a place."""

    @abstractmethod
    def engine_read(self, engine: Engine) -> None:
        """Reply bytes came."""

    @abstractmethod
    def engine_lost(self, engine: Engine, reason: str) -> None:
        """The connection is gone."""

    def plan(self, now: float) -> None:
        """Plan the second try of a request that has just been sent."""
        hedge = self._hedge = self.model.traffic.hedge(streamed=self.asked.streamed)
        delay_s = hedge.plan()
        if delay_s and now + delay_s < self.deadline:
            self._worker.loop.call_later(delay_s, self._try_again)

    def keep(self) -> None:
        """Remember the answer, and how long it took to begin."""
        super().keep()
        if self._hedge is not None:
            self._hedge.saw(self._first_us / 1e6)

    def _try_again(self) -> None:
        """Send the second try, unless the first has been heard of or nobody else has room."""
        first, hedge = self._engine, self._hedge
        if self.slot < 0 or self.attempt or first is None or first.status or hedge is None:
            return
        now = self._worker.time()
        before = self.place, self._verdict, self._skip
        if self.choose(now, 1 << self._verdict.position) is not None:
            return
        rival = Rival(self, self.place, self._verdict)
        self.place, self._verdict, self._skip = before
        place = rival.place
        free = place.load() < place.row.slots and rival.verdict.cost <= before[1].cost * NEAR
        if not free or place.throttle is not None or (place.remote and self.key.redacts):
            return
        if not self._fits(place) or not hedge.budget.spend():
            return
        self._worker.counters["hedges"] += 1
        place.enter()
        pool, message = self._worker.pool(place), self.message(place)
        engine = pool.pop(now)
        if engine is None:
            engine = pool.dial(rival, message)
        else:
            engine.send(rival, message)
        rival.engine, self._rival = engine, rival

    def heard(self, engine: Engine) -> None:
        """The first try is being answered: unless that is a failure, the second one is over."""
        if self._rival is not None and (engine.status == 200 or engine.status in REFUSED):
            self.call_off()

    def rival_read(self, engine: Engine) -> None:
        """The second try is being answered: it wins, unless that is a failure."""
        if engine.status == 200:
            self._worker.counters["hedges_won"] += 1
            first, self._engine = self._engine, None
            if first is not None:
                first.abort()
            self.hand_over()
            self.engine_read(engine)
        elif engine.complete:
            self.rival_lost()

    def rival_lost(self) -> None:
        """The second try failed: the first one goes on alone."""
        rival = self._rival
        if rival is not None:
            health.bad(self._present(), rival.place, self._worker.time(), connect=False)
            self._skip |= 1 << rival.verdict.position
            self.call_off()

    def hand_over(self) -> bool:
        """Go on with the second try alone; False where there is none."""
        rival, self._rival = self._rival, None
        if rival is None or rival.engine is None:
            return False
        rival.place.leave()
        self.place.part(self.slot)
        self._skip |= 1 << self._verdict.position
        self.place.breaker.let_go()  # it was slow, or its failure has been told
        self.place, self._verdict = rival.place, rival.verdict
        self.attempt += 1
        self._engine = rival.engine
        rival.engine.owner = self
        if self.asked.streamed:
            self._begin_stream()
        self._enter()
        if self.model.queue.count:
            self._worker.pump.wake(self.model.traffic, self._worker.time())
        return True

    def call_off(self) -> None:
        """Cut the second try off, if there is one."""
        rival, self._rival = self._rival, None
        if rival is not None:
            rival.place.leave()
            if rival.engine is not None:
                rival.engine.abort()

    def leave(self) -> None:
        """Wait no longer, and try no longer."""
        super().leave()
        self.call_off()
