"""Auditing: some questions are put to the other deployment of their policy, too, once answered.

Whoever asked has been answered by then. An audit takes a free slot only, waits in no line, and ends
where somebody would have to wait for it; nothing of it outlives it but what the judge found.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import structs

from littoral.domain.audit import Finding, Vote
from littoral.domain.ids import DeploymentName
from littoral.domain.local import Judged, Voted
from littoral.domain.policy import Audits
from littoral.domain.session import Frame
from littoral.domain.traffic import PRIORITIES
from littoral.domain.units import Micros
from littoral.gateway import audit
from littoral.gateway.asked import Asked
from littoral.gateway.quota import Gate
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import CHAT as CHATS
from littoral.gateway.request import Message
from littoral.gateway.route import CHAT, CHAT_FLOW, TEXT_FLOW, Route
from littoral.gateway.served import Served
from littoral.gateway.table import KeyRow, ModelRow, Place
from littoral.gateway.wanted import Wanted
from littoral.gateway.wire.inner import Inner, Unframed
from littoral.gateway.wire.worker import Worker
from littoral.placement.pairing import Seat, drawn, partner, picked, residence, seats_of

AT_ONCE: Final = 4
"""Audits under way in one gateway."""
AUDIT_S: Final = 60.0
"""Longest that each request of an audit may take, seconds."""
LOWEST: Final = len(PRIORITIES) - 1
"""The level of the least urgent."""
_HEARD: Final = (CHAT_FLOW, TEXT_FLOW)
AUDIT: Final = b"aud_"
"""Begins the ids of audits' requests; what follows is the id of what was served."""
Heard: TypeAlias = Callable[[bytes | None], None]
_Seat: TypeAlias = tuple[KeyRow, ModelRow, Place]


class _Extra(Unframed):
    """The exchange of a request that nobody waits for: one place, and no line before it."""

    only: ModelRow

    def enter(self, route: Route, asked: Asked, *, size: int, total_s: float) -> Refusal | None:
        """Go now, or not at all."""
        now = self._worker.time()
        self.asked, self.model, self.route = asked, self.only, route
        self.deadline = now + total_s
        self._size = size
        self._tokens_in = asked.weight or size // 4 or 1
        return self._go(now)

    def gates(self) -> Sequence[Gate]:  # pyright: ignore[reportIncompatibleMethodOverride]  fewer
        """Budgets hold for audits as for everything; rates are the callers' alone."""
        return tuple(gate for gate in super().gates() if gate.budget >= 0)


class _Ear:
    """Hears one answer in full."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._pieces: list[bytes] = []
        self._size = 0

    def piece(self, payload: bytes) -> None:
        """The whole body, or some whole events of a stream."""
        self._size += len(payload)
        if self._size <= audit.MOST_TEXT:
            self._pieces.append(payload)

    def refused(self, refusal: Refusal) -> None:
        """There is none."""
        del refusal
        self._heard(None)

    def ended(self, *, good: bool) -> None:
        """It is whole, or broke off."""
        whole = good and self._size <= audit.MOST_TEXT
        self._heard(b"".join(self._pieces) if whole else None)


class _Audit:
    """One question put to the other deployment, and what the judge makes of both answers.

    Args:
        auditor: Whose it is.
        served: What was asked, and the answer that the caller got.
        policy: What holds for it.
        audits: How its answers are compared.
        probability: With which it was picked.
    """

    def __init__(
        self,
        auditor: "Auditor",
        served: Served,
        policy: Wanted,
        *,
        audits: Audits,
        probability: float,
    ) -> None:
        self._auditor = auditor
        self._served = served
        self._policy = policy
        self._audits = audits
        self._probability = probability
        self._cheap = served.deployment != audits.reference
        self._cost = 0.0
        self._texts = ("", "")
        self._said: list[float] = []
        self.inner: Inner | None = None
        self.place: Place | None = None

    def ask_other(self, seat: _Seat) -> None:
        """Put the same question to the other deployment."""
        served = self._served
        asked = structs.replace(served.asked)
        self._ask((served.route, asked, served.size), b"", seat, heard=self._other)

    def cancel(self) -> None:
        """Stop at once; what was used is booked."""
        if self.inner is not None:
            self.inner.cancel()
        self._auditor.over(self, "audits_dropped")

    def _ask(
        self,
        what: tuple[Route, Asked, int],
        part: bytes,
        seat: _Seat,
        *,
        heard: Heard,
    ) -> None:
        (route, asked, size), (key, model, place) = what, seat
        rid = AUDIT + self._served.rid.removeprefix(b"req_") + part
        inner = Inner(self._auditor.worker, _Ear(heard), rid, key=key, kind=_Extra)
        self.inner, self.place = inner, place
        exchange = inner.exchange
        if isinstance(exchange, _Extra):
            exchange.only = model.among([place])
            exchange.only.gates = model.gates
            exchange.only.allow(key.wanted(model.name))
        inner.ask(route, asked, size=size, total_s=AUDIT_S, level=LOWEST)

    def _paid(self) -> None:
        """Count what the last request took."""
        inner, place = self.inner, self.place
        if inner is not None and place is not None and place.priced:
            tokens_in, _, tokens_out = inner.used
            self._cost += place.cost(tokens_in, tokens_out)

    def _other(self, data: bytes | None) -> None:
        served = self._served
        mine = audit.text_of(served.answer, streamed=served.asked.streamed)
        other = None if data is None else audit.text_of(data, streamed=served.asked.streamed)
        if mine is None or other is None:
            self._auditor.over(self, "audits_failed")
            return
        self._paid()
        self._texts = (other, mine) if self._cheap else (mine, other)
        judge, (dear, cheap) = self._audits.judge, self._texts
        if judge.kind == "model":
            self._weigh()
        else:
            self._compare(audit.loss_of(judge, dear=dear, cheap=cheap))

    def _compare(self, loss: float | None) -> None:
        if loss is None:
            self._auditor.over(self, "audits_failed")
        else:
            self._found(loss)

    def _weigh(self) -> None:
        """Ask the judge: once with the reference's answer first, once with the other's."""
        served, auditor = self._served, self._auditor
        question = audit.question_of(served.asked.body)
        seat = auditor.judge(served, self._audits.judge.deployment, self._policy)
        if question is None or seat is None:
            auditor.over(self, "audits_failed")
            return
        dear, cheap = self._texts
        first, second = (cheap, dear) if self._said else (dear, cheap)
        asked = audit.asking(seat[1].name, question, first=first, second=second)
        asked.needs |= residence(served.asked.needs)
        size = _size_of(question) + len(first) + len(second)
        part = b".%d" % (len(self._said) + 1)
        self._ask((CHAT, asked, size), part, seat, heard=self._verdict)

    def _verdict(self, data: bytes | None) -> None:
        text = None if data is None else audit.text_of(data, streamed=False)
        better = None if text is None else audit.preferred(text)
        if better is None:
            self._auditor.over(self, "audits_failed")
            return
        self._paid()
        self._said.append(-better if self._said else better)
        if len(self._said) < 2:
            self._weigh()
        else:
            self._found(sum(self._said) / 2)

    def _found(self, loss: float) -> None:
        auditor, audits = self._auditor, self._audits
        finding = Finding(
            at_us=Micros(auditor.worker.wall_us),
            policy=self._policy.name,
            tag=self._policy.tag,
            candidate=DeploymentName(audits.candidate),
            judge=audits.judge.kind,
            loss=loss,
            cheap=self._cheap,
            probability=self._probability,
            cost=self._cost,
        )
        auditor.send(Judged(finding=finding))
        auditor.over(self, "audits")


def _size_of(messages: Sequence[Message]) -> int:
    return sum(len(bytes(each.content)) for each in messages)


class Auditor:
    """The audits of one gateway.

    Args:
        worker: What all share.
        send: Sends a frame to the node.
    """

    def __init__(self, worker: Worker, send: Callable[[Frame], object]) -> None:
        self.worker = worker
        self.send = send
        self._open: set[_Audit] = set()
        self._minute = -1
        self._begun: dict[str, int] = {}

    def seen(self, served: Served) -> None:
        """A request was answered whose answer was kept: it may be audited, in a later turn."""
        self.worker.loop.call_soon(self._consider, served)

    def give_way(self, model: ModelRow) -> bool:
        """End those that hold a slot for which a request would have to wait."""
        held = [each for each in self._open if each.place in model.places]
        for each in held:
            each.cancel()
        return bool(held)

    def vote(self, vote: Vote) -> None:
        """Pass on what a caller thinks of an answer; control knows whose request it was."""
        self.send(Voted(vote=vote))

    def stop(self) -> None:
        """End all: the gateway is to end."""
        for each in list(self._open):
            each.cancel()

    def over(self, ended: _Audit, how: str) -> None:
        """One ended, in one way or another."""
        if ended in self._open:
            self._open.discard(ended)
            self.worker.counters[how] += 1

    def judge(self, served: Served, deployment: str, policy: Wanted) -> _Seat | None:
        """Where a judge may be asked about a request, if it may be now."""
        tables = self.worker.source.tables
        key = tables.keys.get(served.key.grant.id)
        if key is None:
            return None
        needs = residence(served.asked.needs | key.residence | policy.needs) | CHATS
        for model in tables.models.values():
            place = self._free(model, deployment, policy, needs=needs)
            if place is not None:
                return key, model, place
        return None

    def _consider(self, served: Served) -> None:
        try:
            self._begin(served)
        except Exception as error:  # noqa: BLE001  one audit fails, and no request with it
            self.worker.fault(error)

    def _begin(self, served: Served) -> None:
        worker, tables = self.worker, self.worker.source.tables
        key, model = tables.keys.get(served.key.grant.id), tables.models.get(served.name)
        before = served.key.wanted(served.name)
        policy = None if key is None else key.wanted(served.name)
        if key is None or model is None or before is None or policy is None:
            return
        audits = audits_of(policy)
        if audits is None or before.spec != policy.spec or before.standing is None:
            return
        other, cheap = partner(audits, served.deployment), served.deployment != audits.reference
        probability = picked(before.standing, cheap=cheap, chance=drawn(served.rid))
        if other is None or probability is None or served.route.flow not in _HEARD:
            return
        needs = served.asked.needs | key.residence | policy.needs
        place = self._free(model, other, policy, needs=needs)
        if place is None or not self._room(policy.name, audits.per_minute):
            worker.counters["audits_dropped"] += 1
            return
        begun = _Audit(self, served, policy, audits=audits, probability=probability)
        self._open.add(begun)
        begun.ask_other((key, model, place))

    def _room(self, policy: str, per_minute: int) -> bool:
        """Whether one more may begin now; it counts."""
        worker = self.worker
        minute = int(worker.now // 60)
        if minute != self._minute:
            self._minute, self._begun = minute, {}
        begun = self._begun.get(policy, 0)
        if worker.draining or len(self._open) >= AT_ONCE or begun >= per_minute:
            return False
        self._begun[policy] = begun + 1
        return True

    def _free(
        self, model: ModelRow, deployment: str, policy: Wanted, *, needs: int
    ) -> Place | None:
        """The place of a deployment that has a free slot, and may see what needs this."""
        if model.queue.count:
            return None
        listed = policy.spec.deployments
        seats = [
            Seat(
                place.endpoint.deployment,
                row.ready,
                row.mask,
                barred=bool(listed) and place.endpoint.deployment not in listed,
            )
            for place, row in zip(model.places, model.rows, strict=True)
        ]
        found = [model.places[at] for at in seats_of(seats, deployment, needs=needs)]
        free = [place for place in found if place.load() < place.row.slots]
        return min(free, key=lambda place: place.load(), default=None)


def audits_of(policy: Wanted) -> Audits | None:
    """How a policy's answers are compared in pairs, if they are for its tag."""
    quality = policy.spec.quality
    audits = None if quality is None else quality.audits
    if audits is None or policy.tag in audits.off or audits.judge.kind == "vote":
        return None
    return audits
