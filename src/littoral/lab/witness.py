"""Witness: what clients got, told by the clients; the ledger must say the same."""

from collections import Counter
from dataclasses import dataclass, field

from littoral.domain.limits import nanos
from littoral.domain.ports import Ledger
from littoral.domain.usage import UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a client got."""

    tokens_in: int
    tokens_out: int
    cost: float


@dataclass(slots=True)
class Account:
    """One request: what its client got, where that was all; ``maybe`` after a power cut.

    One that is ``late`` is deferred: whether it was ever run, and for whom, is another's business.
    """

    node: str
    answer: Answer | None = None
    maybe: bool = False
    late: bool = False


@dataclass(slots=True)
class Witness:
    """Every request of every client, and every refusal."""

    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    refused: Counter[str] = field(default_factory=Counter[str])

    def begun(self, request: str, node: str) -> None:
        """A gateway took a request: it must be accounted for, however it ends."""
        self.accounts[request] = Account(node)

    def deferred(self, request: str, node: str) -> None:
        """A gateway offered to keep a request: it may be accounted for, once."""
        self.accounts[request] = Account(node, late=True)

    def answered(self, request: str, answer: Answer) -> None:
        """A client got its whole answer."""
        self.accounts[request].answer = answer

    def power_lost(self, requests: list[str]) -> None:
        """What these have used was not yet on a disk that lost power."""
        for request in requests:
            if request in self.accounts:
                self.accounts[request].maybe = True

    def compare(self, ledger: Ledger) -> list[str]:
        """What is wrong with the ledger; nothing where it says what clients got."""
        wrong: list[str] = []
        total = Counter[str]()
        for request, account in self.accounts.items():
            lines = ledger.record(request)
            wrong.extend(_faults(request, account, list(lines)))
            total.update(_sum_of(list(lines)))
        sums = ledger.sums(by=("node",))
        booked = Counter[str]()
        for each in sums:
            booked["requests"] += each.requests
            booked["tokens"] += each.tokens_in + each.tokens_out
            booked["nanos"] += nanos(each.cost)
        if abs(booked["nanos"] - total["nanos"]) <= len(self.accounts):
            booked["nanos"] = total["nanos"]  # each sum is rounded once
        if +booked != +total:
            wrong.append(f"the ledger's sums are {dict(booked)}, clients got {dict(total)}")
        return wrong


def _sum_of(lines: list[UsageRecord]) -> Counter[str]:
    found = Counter[str]()
    for line in lines[:1]:
        found["requests"] += 1
        found["tokens"] += line.tokens_in + line.tokens_out
        found["nanos"] += nanos(line.cost)
    return found


def _faults(request: str, account: Account, lines: list[UsageRecord]) -> list[str]:
    if len(lines) > 1:
        return [f"{request} is {len(lines)} times in the ledger"]
    if not lines:
        return [] if account.maybe or account.late else [f"{request} of {account.node} is lost"]
    line = lines[0]
    if account.maybe or account.answer is None:
        return []
    said = (line.status, line.tokens_in, line.tokens_out)
    got = ("ok", account.answer.tokens_in, account.answer.tokens_out)
    return [] if said == got else [f"{request}: the ledger says {said}, its client got {got}"]
