"""Placed: where one request goes, by what it needs, by its policy and by who is there."""

from abc import abstractmethod
from typing import Final, NamedTuple

from littoral.domain.errors import DeadlinePassed, NoCandidate
from littoral.domain.ids import DeploymentName
from littoral.gateway.admission import usable
from littoral.gateway.choice import able, choose
from littoral.gateway.head import Terms
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.split import aside_of
from littoral.gateway.wanted import Under, Wanted
from littoral.gateway.wire.charged import Charged
from littoral.placement.decide import Verdict

MISSED: Final = refuse(DeadlinePassed, "every place would miss the deadline")


class Within(NamedTuple):
    """The deployment that alone may be asked, and what it must have beside what is needed anyway.

    ``needs`` are bits.
    """

    deployment: DeploymentName
    needs: int


class Placed(Charged):
    """The part of a request's books that says where it goes."""

    rid: bytes
    terms: Terms
    slot: int
    deadline: float
    """The caller's, in monotonic seconds."""
    _started: float
    _verdict: Verdict
    _skip: int
    _beginning: int
    """What affinity remembers of the request's beginning; 0 where that is too short."""

    def choose(self, now: float, skip: int) -> Refusal | None:
        """Choose a place; nothing is counted yet.

        Args:
            now: Monotonic seconds; the first call's is when the request left the line.
            skip: Positions already tried, as bits.
        """
        if not skip:
            self._started = now
        if self.key.policies:
            staged = self.staged(now, skip)
            if staged is not False:
                return None if staged is True else staged
        verdict = self.ranked(now, skip)
        if isinstance(verdict, Refusal):
            return self._advised(verdict)
        if verdict[1] == "least_miss" and self.terms.defer_s:
            return MISSED
        self._skip = skip
        self._verdict = verdict
        self.place = self.model.places[verdict[0]]
        return None

    @abstractmethod
    def staged(self, now: float, skip: int) -> Refusal | bool:
        """Choose a place of the stage that it is in; False where a policy gives it no stages."""

    def ranked(self, now: float, skip: int, within: Within | None = None) -> Verdict | Refusal:
        """Compare the places as they are now; nothing changes.

        Args:
            now: Monotonic seconds.
            skip: Positions already tried, as bits.
            within: Where it may go only.
        """
        model, key = self.model, self.key
        needs, outside = self.asked.needs, 0
        if within is not None:
            needs, outside = needs | within.needs, model.outside(within.deployment)
        wanted = key.wanted(model.name) if key.policies else None
        if wanted is not None and wanted.priced:
            model.weigh(now)
        tokens_out, length = self.expected()
        return choose(
            model,
            needs=needs,
            tokens_in=self.asked.longest or self._tokens_in,
            tokens_out=tokens_out,
            length=length,
            total_s=(self.deadline if wanted is None else self._due(wanted)) - now,
            skip=skip,
            warm=self._warm() if self._beginning and not skip else -1,
            aside=0 if model.split is None or skip else aside_of(model.split, self.rid),
            wanted=wanted,
            outside=outside,
        )

    def _due(self, wanted: Wanted) -> float:
        """By when it is to be answered, by its caller and a policy; tries again do not put it off.

        Monotonic seconds.
        """
        return min(self.deadline, self._started + wanted.total_s)

    def _warm(self) -> int:
        """The position of the place that served this beginning last; -1 where it is not there."""
        last = self._worker.memory.affinity.where(self._beginning)
        found = (at for at, place in enumerate(self.model.places) if place.endpoint.id == last)
        return next(found, -1)

    def _advised(self, refusal: Refusal) -> Refusal:
        """Where waiting cannot help, say which models of this key could serve the request."""
        if refusal.code != NoCandidate.code:
            return refusal
        tables = self._worker.source.tables
        names = able(tables.models, usable(tables, self.key), needs=self.asked.needs)
        if not names or self.model.name in names:
            return refusal
        known = ", ".join(names[:20])
        return refusal._replace(message=f"{refusal.message}; models that can: {known}")

    def expected(self) -> tuple[int, float]:
        """Output to expect, tokens, and its log half-width; a cap below what is usual leaves none.

        What answers to its tag, or else its key, by this model are long, else all of the model.
        """
        cap, model = self.asked.cap, self.model
        found = self._worker.source.lengths
        usual = found.get(self.key.sorts[model.name].length) if found else None
        expected, width = usual or (model.expected_out, model.expected_length)
        return (expected, width) if cap is None or cap > expected else (cap, 0.0)

    def note(self, p50: float, p90: float) -> None:
        """Let those who come later know by when this one is to end."""
        wanted = self.key.wanted(self.model.name)
        if wanted is not None and wanted.priced:
            under = Under(self._due(wanted), self._started + p50, max(1.02, p90 / max(p50, 1e-9)))
            self.place.under[self.slot] = under
