"""Cascading: a first answer that nobody sees before it is judged, and a second one in its place."""

import math
from typing import Final, NamedTuple

from littoral.domain.policy import Cascade
from littoral.gateway import cascade
from littoral.gateway.asked import Asked
from littoral.gateway.cascade import LOGPROBS
from littoral.gateway.refusal import Refusal
from littoral.gateway.settlement import FAILED, OK
from littoral.gateway.table import Place
from littoral.gateway.tally import Usage
from littoral.gateway.wanted import Wanted
from littoral.gateway.wire.placed import MISSED, Within
from littoral.gateway.wire.screened import Screened
from littoral.gateway.wire.waiting import UNRECORDED
from littoral.placement.decide import Verdict
from littoral.placement.policy import has_slack

UNSEEN: Final = frozenset({401, 403})
"""Refusals of whoever asks: then the first answer is not given either."""


class Kept(NamedTuple):
    """A first answer as its caller would get it, what it lacks, and where it came from."""

    said: bytes
    lack: str
    place: Place
    verdict: Verdict
    predicted_us: int


class Trial:
    """The cascade of one request.

    Args:
        rule: As declared.
        due: By when it must be over, monotonic seconds; ``inf`` for never.
    """

    __slots__ = ("due", "kept", "rule", "spent")

    def __init__(self, rule: Cascade, due: float) -> None:
        self.rule = rule
        self.due = due
        self.kept: Kept | None = None
        """Set once another answer is asked for."""
        self.spent = 0.0
        """What the first answer cost."""

    @property
    def first(self) -> Within:
        """Where the first answer may come from."""
        return Within(self.rule.first, 0 if self.rule.below is None else LOGPROBS)

    @property
    def then(self) -> Within:
        """Where the second one may come from."""
        return Within(self.rule.then, 0)


class Cascading(Screened):
    """The two stages of a cascade; what has none passes as if this were not there."""

    _trial: Trial | None = None
    """Not set in each instance, since few have one: whoever looks asks for policies first."""

    @property
    def may_cascade(self) -> bool:
        """Whether two calls can be booked for it: not what another node or the gateway asks."""
        return self.watched and not self.kind

    def take(self, verdict: Verdict, skip: int) -> None:
        """Go where a verdict says."""
        self._skip = skip
        self._verdict = verdict
        self.place = self.model.places[verdict[0]]

    def staged(self, now: float, skip: int) -> Refusal | bool:
        """Choose a place of its stage; False where the first stage has none, or there are none."""
        if not skip:
            self._trial = self._begin(now)
        trial = self._trial
        if trial is None:
            return False
        if trial.kept is not None:
            return self._choose_second(trial, now, skip) or True
        first = self.ranked(now, skip, trial.first)
        if isinstance(first, Refusal) or not self._has_slack(trial, first, now):
            self._trial = None
            return False
        self.take(first, skip)
        return True

    def plan(self, now: float) -> None:
        """Plan no second try of a request that may have a second answer."""
        if self._trial is None:
            super().plan(now)

    def asking(self) -> Asked:
        """What is asked; the first place must tell log probabilities where these are judged."""
        return cascade.asking(self.asked) if self._asks_more else self.asked

    def bare(self, data: bytes) -> bytes:
        """An engine's whole reply without what its caller did not ask for.

        Raises:
            ValueError: It is none.
        """
        return cascade.bare(data) if self._asks_more else data

    def goes_on(self, trial: Trial, data: bytes, said: bytes, *, usage: Usage | None) -> bool:
        """Judge an answer; True where another one is asked for, or it was given as it is.

        Args:
            trial: Its cascade.
            data: As the engine sent it.
            said: As the caller would get it.
            usage: What the engine says was used.

        Raises:
            ValueError: It is no answer.
        """
        if trial.kept is not None:
            self._tell("then", trial.kept.lack)
            return False
        self._worker.counters["cascades"] += 1
        lack = cascade.lack(trial.rule, cascade.hear(data))
        if not lack:
            self._tell("first")
            return False
        now = self._worker.time()
        second = self.ranked(now, 0, trial.then)
        why_not = self._why_not(trial, second, now)
        if isinstance(second, Refusal) or why_not:
            self._stay(lack, why_not)
            return False
        verdict = self._verdict
        trial.kept = Kept(said, lack, self.place, verdict, self._predicted_us)
        trial.spent = self.settle(OK, usage, len(data) // 4)
        refusal = self._climb(trial, second, now)
        if refusal is None:
            self._worker.counters["escalations"] += 1
        else:
            self._give_first(trial, trial.kept, refusal.code)
        return True

    def _refused(self, refusal: Refusal) -> None:
        """Give the first answer where there is one and the second one failed."""
        trial = self._trial
        if trial is None or trial.kept is None or refusal.status in UNSEEN:
            super()._refused(refusal)
            return
        self.forgive()
        self.settle(FAILED, None, 0)
        self._give_first(trial, trial.kept, refusal.code)

    def _due(self, wanted: Wanted) -> float:
        """By when it is to be answered: the second stage has no time of its own."""
        trial = self._trial
        return super()._due(wanted) if trial is None or trial.kept is None else trial.due

    # steps

    def _begin(self, now: float) -> Trial | None:
        wanted = self.key.wanted(self.model.name)
        rule = wanted.spec.cascade if wanted is not None else None
        if wanted is None or rule is None or not self.may_cascade:
            return None
        if not cascade.is_judged(self.asked, self.route.operation):
            return None
        return Trial(rule, min(self.deadline, now + wanted.total_s))

    def _has_slack(self, trial: Trial, first: Verdict, now: float) -> bool:
        """Whether both answers come in time as things are."""
        if trial.due == math.inf:
            return True
        then = self.ranked(now, 0, trial.then)
        if isinstance(then, Refusal):
            return False
        return has_slack(first.total_p90, then.total_p90, trial.due - now)

    def _choose_second(self, trial: Trial, now: float, skip: int) -> Refusal | None:
        second = self.ranked(now, skip, trial.then)
        if isinstance(second, Refusal):
            return second
        if not has_slack(0.0, second.total_p90, trial.due - now):
            return MISSED
        self.take(second, skip)
        return None

    def _why_not(self, trial: Trial, second: Verdict | Refusal, now: float) -> str:
        """Why no second answer can be asked for; empty where one can."""
        if isinstance(second, Refusal):
            return second.code
        throttle = self.model.places[second.position].throttle
        if throttle is not None and throttle.refuses(now):
            return "overloaded"
        return "" if has_slack(0.0, second.total_p90, trial.due - now) else "deadline"

    def _climb(self, trial: Trial, second: Verdict, now: float) -> Refusal | None:
        """Ask for the second answer; the first one is booked."""
        worker, gates = self._worker, self.gates()
        refusal = self.unrecorded(gates)
        slot = worker.flights.take() if refusal is None else -1
        if slot < 0:
            return refusal or UNRECORDED
        self._started, self._first_us = now, 0
        self.take(second._replace(why="escalated"), 0)
        refusal = self.reserve_more(gates, slot)
        if refusal is not None:
            worker.flights.put_back(slot)
            return refusal
        self.attempt += 1
        self.deadline = trial.due
        self.open(slot)
        self.start(now)
        return None

    def _give_first(self, trial: Trial, kept: Kept, why_not: str) -> None:
        self.place, self._verdict = kept.place, kept.verdict
        self._predicted_us = kept.predicted_us
        self._stay(kept.lack, why_not)
        self._deliver(kept.said, trial.spent)

    def _stay(self, lack: str, why_not: str) -> None:
        """Let the first answer stand, though it is not good enough: it is not kept for others."""
        self._worker.counters["unescalated"] += 1
        self._copy = None
        self._tell("first", lack, why_not)

    def _tell(self, stage: str, *reasons: str) -> None:
        told = "; ".join((stage, *reasons))
        self._notes += b"x-littoral-cascade: %b\r\n" % told.encode("ascii", "replace")

    @property
    def _asks_more(self) -> bool:
        """Whether log probabilities are asked for that the caller does not want."""
        trial = self._trial
        if trial is None or trial.kept is not None or trial.rule.below is None:
            return False
        return not cascade.asks_already(self.asked.body)
