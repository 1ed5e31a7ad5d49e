"""Promise: what clients were told of deferred requests, which the nodes' stores must keep.

Who was told 202 finds its request until it is told how that ended: once, with one answer, and with
one record of what that answer used. A request may be run more than once, nobody may see it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from littoral.domain.deferral import AHEAD, Deferral
from littoral.domain.ids import ProjectId
from littoral.domain.ports import Ledger
from littoral.domain.units import HOUR_US
from littoral.domain.usage import UsageRecord
from littoral.testing.loop import LoopClock

KEPT_US = 48 * HOUR_US
"""So long one must be found: nodes keep it for three days, and a clock may be one ahead."""


@dataclass(slots=True, kw_only=True)
class Promise:
    """One deferred request, as its client knows it.

    ``shown`` is what the client was given once it had ended; until ``until_us``, true time, it must
    be there.
    """

    name: str
    node: str
    project: ProjectId
    until_us: int
    shown: Deferral | None = None

    @property
    def is_due(self) -> bool:
        """Whether it must be there still."""
        return LoopClock().wall() < self.until_us


@dataclass(slots=True)
class Waiting:
    """A client that waits, at whichever gateway of its node; ``tries`` were made to be kept."""

    deferral: Deferral
    promise: Promise | None = None
    tries: int = 0


@dataclass(slots=True)
class Promises:
    """Every deferred request of every client.

    Attributes:
        wrong: What clients met that must not be.
        counts: How they ended, as clients were told.
    """

    wrong: list[str] = field(default_factory=list[str])
    counts: Counter[str] = field(default_factory=Counter[str])
    _kept: dict[str, Promise] = field(default_factory=dict[str, Promise])
    _made: dict[str, dict[bytes, UsageRecord | None]] = field(
        default_factory=dict[str, dict[bytes, UsageRecord | None]]
    )

    def kept(self, deferral: Deferral, node: str) -> Promise:
        """A client was told 202."""
        found = self._kept.get(deferral.id)
        if found is None:
            self.counts["accepted"] += 1
            found = self._kept[deferral.id] = Promise(
                name=deferral.id,
                node=node,
                project=deferral.project,
                until_us=LoopClock().wall() + KEPT_US,
            )
        return found

    def ran(self, deferral: Deferral, answer: bytes, usage: UsageRecord | None) -> None:
        """A run has made an answer, whatever becomes of it."""
        self._made.setdefault(deferral.id, {})[answer] = usage

    def told(self, promise: Promise, found: Deferral) -> None:
        """A client was shown one that has ended, with its answer; it shall never change."""
        before = promise.shown
        if before is None:
            promise.shown = found
            self.counts[found.state] += 1
        elif (before.state, before.answer) != (found.state, found.answer):
            self.wrong.append(f"{found.id} was {before.state}, now it is {found.state}")

    def missing(self, promise: Promise) -> None:
        """A client was told that there is no such request."""
        if promise.is_due:
            self.wrong.append(f"{promise.name} of {promise.node} was accepted, and is lost")

    def compare(self, kept: Iterable[Sequence[Deferral]], ledger: Ledger) -> list[str]:
        """What is wrong with the stores of all nodes, once all is healed."""
        wrong = list(self.wrong)
        here = dict[str, Deferral]()
        for store in kept:
            same = Counter((each.project, each.idempotency) for each in store if each.idempotency)
            wrong.extend(f"{key} was accepted twice" for key, count in same.items() if count > 1)
            here |= {each.id: each for each in store}
        for promise in self._kept.values():
            found = here.get(promise.name)
            if found is None and promise.shown is None and promise.is_due:
                wrong.append(f"{promise.name} of {promise.node} was accepted, and is lost")
        for deferral in here.values():
            rows = list(ledger.record(deferral.request))
            wrong.extend(f"{deferral.id}: {each}" for each in self._faults(deferral, rows))
        return wrong

    def _faults(self, deferral: Deferral, rows: Sequence[UsageRecord]) -> Iterable[str]:
        if len(rows) > 1:
            yield f"{len(rows)} times in the ledger"
        if deferral.state in AHEAD:
            if rows:
                yield "in the ledger, and still to be run"
            return
        if deferral.state != "completed":
            if not deferral.reason:
                yield f"{deferral.state} without a reason"
            return
        made = self._made.get(deferral.id, {})
        if deferral.answer not in made:
            yield "its answer is none that an engine gave"
            return
        usage = made[deferral.answer]
        if usage is None or not rows:
            yield "answered, and not in the ledger"
            return
        said, used = rows[0], usage
        if (said.tokens_in, said.tokens_out) != (used.tokens_in, used.tokens_out):
            yield f"the ledger has {said.tokens_out} tokens, its answer has {used.tokens_out}"
