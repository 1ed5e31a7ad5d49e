"""Quality: what audits and votes say of policies, folded once each and kept.

The inbox numbers what nodes found; how far that is folded is written together with what came of it,
so that whoever dies in between folds the rest later, and nothing twice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import msgspec

from littoral.control.check import Specs
from littoral.control.policies import policies_of
from littoral.domain.audit import Finding, Numbered, QualityView, Standing, TagView, Vote
from littoral.domain.ids import DeploymentName
from littoral.domain.node import Event, Level
from littoral.domain.policy import Audits, Policy, PolicySpec
from littoral.domain.ports import Clock, Inbox, Ledger, Sink, State
from littoral.domain.usage import UsageRecord
from littoral.placement.loop import Loop, begun, estimates, heard, recent, voted
from littoral.placement.policy import Asker, holding

PREFIX: Final = "quality/"
CURSOR: Final = "quality-cursor"
VOTED: Final = "quality-voted"
MANY: Final = 500
"""Notes that are folded in one write."""
MOST_VOTED: Final = 2000
"""Last requests that are remembered to have been voted on: each counts once."""
_VOTED: Final = msgspec.json.Decoder(tuple[str, ...])


class QualityBook:
    """The loops of all policies. Its calls touch the state: one at a time, in a worker.

    Args:
        state: Where loops are kept.
        inbox: Where findings and votes are.
        ledger: Knows whose a request was that is voted on, and who served it.
        specs: What is declared.
        clock: Dates events.
        sink: Is told where a tag is closed, or opened.
    """

    def __init__(
        self,
        state: State,
        inbox: Inbox,
        ledger: Ledger,
        *,
        specs: Callable[[], Specs],
        clock: Clock,
        sink: Sink,
    ) -> None:
        self._state = state
        self._inbox = inbox
        self._ledger = ledger
        self._specs = specs
        self._clock = clock
        self._sink = sink
        self._loops: dict[str, Loop] = {
            name.removeprefix(PREFIX): msgspec.json.decode(row, type=Loop)
            for name, row in state.values(PREFIX).items()
        }
        self._cursor = int(state.value(CURSOR) or b"0")
        self._voted = _VOTED.decode(state.value(VOTED) or b"[]")

    def fold(self) -> bool:
        """Take what has come since; whether something else follows now."""
        changed = False
        if self._inbox.noted() < self._cursor:  # the inbox was lost, and began anew
            self._cursor = 0
        every = policies_of(self._specs())
        while notes := self._inbox.notes(self._cursor, limit=MANY):
            changed |= self._take(notes, every)
        return changed

    def standings(self, specs: Specs) -> tuple[Standing, ...]:
        """What follows for each policy that is audited, by name."""
        return tuple(self._loop(*each).standing for each in _audited(policies_of(specs)))

    def views(self) -> tuple[QualityView, ...]:
        """What is known of each policy, for people."""
        every = policies_of(self._specs())
        return tuple(_view(spec, self._loop(name, spec)) for name, spec in _audited(every))

    def _take(self, notes: Sequence[Numbered], every: Sequence[Policy]) -> bool:
        policies = dict(_audited(every))
        before = {name: self._loop(name, spec) for name, spec in policies.items()}
        now = dict(before)
        voted_ = self._voted
        for each in notes:
            if isinstance(each.note, Finding):
                _learn(now, each.note, policies)
            elif each.note.request not in voted_ and (record := self._served(each.note)):
                voted_ = (*voted_, each.note.request)[-MOST_VOTED:]
                _count(now, each.note, record, every=every)
        self._keep(now, voted_, notes[-1].number)
        for name, loop in now.items():
            self._tell(name, before[name].standing, loop.standing)
        return any(loop.standing != before[name].standing for name, loop in now.items())

    def _keep(self, loops: dict[str, Loop], voted_: tuple[str, ...], number: int) -> None:
        rows = {PREFIX + name: msgspec.json.encode(loop) for name, loop in loops.items()}
        facts = {CURSOR: str(number).encode(), VOTED: msgspec.json.encode(voted_)}
        self._state.put_values({**rows, **facts})
        self._loops |= loops
        self._voted, self._cursor = voted_, number

    def _loop(self, name: str, spec: PolicySpec) -> Loop:
        """A policy's loop; a new one where other answers are compared than before."""
        audits, budget = _audits(spec), 0.0 if spec.quality is None else spec.quality.max_loss
        pair = _pair(audits)
        found = self._loops.get(name)
        if found is None or found.pair != pair:
            return begun(name, audits.candidate, pair=pair, budget=budget)
        return replace(found, guard=replace(found.guard, budget=budget))

    def _served(self, vote: Vote) -> UsageRecord | None:
        """The attempt that answered a request of the voter's key."""
        found = self._ledger.record(vote.request)
        return next((e for e in found if e.status == "ok" and e.key == vote.key), None)

    def _tell(self, name: str, before: Standing, now: Standing) -> None:
        closed, opened = set(before.tags) - set(now.tags), set(now.tags) - set(before.tags)
        if closed:
            self._say(
                "quality.closed", "warning", _told(name, now, tags=closed, what="is kept from")
            )
        if opened:
            self._say("quality.opened", "info", _told(name, now, tags=opened, what="may serve"))

    def _say(self, code: str, level: Level, message: str) -> None:
        event = Event(
            at_us=self._clock.wall(), level=level, subject="quality", code=code, message=message
        )
        self._sink.emit(event)


def _told(name: str, now: Standing, *, tags: Iterable[str], what: str) -> str:
    return f"{now.candidate} {what} {', '.join(sorted(tags))} of the policy {name!r}, by its audits"


def _learn(loops: dict[str, Loop], finding: Finding, policies: dict[str, PolicySpec]) -> None:
    """Take a finding, unless its policy is gone, or compares others by now."""
    spec = policies.get(finding.policy)
    if spec is None:
        return
    audits = _audits(spec)
    if (finding.candidate, finding.judge) == (audits.candidate, audits.judge.kind):
        loops[finding.policy] = heard(loops[finding.policy], finding)


def _count(
    loops: dict[str, Loop], vote: Vote, record: UsageRecord, *, every: Sequence[Policy]
) -> None:
    """Take a vote on what a record says, where the policy that held for it asks voters."""
    asker = Asker(record.project, record.key, record.model, record.tag)
    held = holding(every, asker)
    if held is None or held.name not in loops:
        return
    audits = _audits(held.spec)
    if audits.judge.kind != "vote" or record.deployment not in {
        audits.candidate,
        audits.reference,
    }:
        return
    tag, cheap = record.tag or held.name, record.deployment == audits.candidate
    loop, loss = voted(loops[held.name], tag, vote.score, cheap=cheap)
    if loss is not None and tag not in audits.off:
        loop = heard(
            loop,
            Finding(
                at_us=vote.at_us,
                policy=held.name,
                tag=tag,
                candidate=DeploymentName(audits.candidate),
                judge="vote",
                loss=loss,
                cheap=cheap,
                probability=1.0,
            ),
        )
    loops[held.name] = loop


def _audited(policies: Iterable[Policy]) -> Iterator[tuple[str, PolicySpec]]:
    """The policies that are audited, by name."""
    for policy in policies:
        if policy.spec.quality is not None and policy.spec.quality.audits is not None:
            yield policy.name, policy.spec


def _audits(spec: PolicySpec) -> Audits:
    if spec.quality is None or spec.quality.audits is None:
        raise ValueError("a policy that is not audited")
    return spec.quality.audits


def _pair(audits: Audits) -> str:
    """Says what is compared, and how: findings of anything else say nothing of it."""
    return msgspec.json.encode((audits.reference, audits.candidate, audits.judge)).decode()


def _view(spec: PolicySpec, loop: Loop) -> QualityView:
    audits, guard, found = _audits(spec), loop.guard, recent(loop)
    return QualityView(
        policy=loop.standing.policy,
        candidate=audits.candidate,
        reference=audits.reference,
        judge=audits.judge.kind,
        audits=guard.count,
        decided=loop.standing.decided,
        budget=guard.budget,
        slack=guard.slack,
        loss=found.mean,
        error=found.error if guard.recent else None,
        shares=(loop.standing.cheap, loop.standing.dear),
        spent=loop.spent,
        tags=tuple(
            TagView(
                tag=each.tag,
                audits=round(each.audits, 1),
                loss=each.loss,
                error=each.error,
                share=each.share,
                allowed=each.allowed,
                off=each.tag in audits.off,
            )
            for each in estimates(loop)
        ),
    )
