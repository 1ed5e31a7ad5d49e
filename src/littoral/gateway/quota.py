"""Quota: what limits say to a request, and what it holds of them while it is under way."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from littoral.domain.errors import BudgetExhausted, InvalidInput, LimitReached, Unavailable
from littoral.domain.limits import Limits, nanos
from littoral.domain.quota import (
    CAP,
    CAP_SINCE,
    INTERVAL,
    OPEN,
    PACE,
    REQUESTS,
    SINCE,
    TOKENS,
    UNTIL,
    Charge,
    QuotaTable,
    Use,
)
from littoral.gateway.refusal import Refusal, refuse
from littoral.trust import limit
from littoral.trust.limit import per_minute

TEMPLATE_TOKENS: Final = 64
"""What a chat template may add around messages, beyond one token for each byte of their JSON."""
_NO_STORY: Final = (1 << 63, 0, b"")
LATER_S: Final = 1.0
MOST_LATER_S: Final = 60.0
_MINUTE_NS: Final = 60_000_000_000
_UNCOUNTED: Final = refuse(
    Unavailable, "this node has no room to count one more limit; ask its operator"
)


class Gate:
    """The limits of one key, project or model, ready for the warm path.

    Args:
        limits: What was declared.
        row: Where it is counted; -1 where the table had no row left.
        who: Whose limits they are, for messages.
    """

    __slots__ = (
        "budget",
        "concurrent",
        "holds",
        "limits",
        "paces",
        "requests",
        "requests_told",
        "row",
        "tokens",
        "tokens_told",
        "who",
    )

    def __init__(self, limits: Limits, row: int, who: str) -> None:
        self.limits = limits
        self.row = row
        self.who = who
        self.requests = _pace(limits.requests_per_minute)
        self.tokens = _pace(limits.tokens_per_minute)
        self.requests_told = _told("requests", limits.requests_per_minute)
        self.tokens_told = _told("tokens", limits.tokens_per_minute)
        self.concurrent = limits.concurrent or 0
        self.budget = -1 if limits.budget is None else nanos(limits.budget.amount)
        self.holds = bool(self.concurrent or limits.tokens_per_minute or self.budget >= 0)
        self.paces = bool(limits.requests_per_minute) and not self.holds

    def look(self, table: QuotaTable, now_ns: int) -> None:
        """See what this node's share of the rates is now; inside a section."""
        table.repace(self.row, now_ns)
        words, at = table.words, table.at(self.row)
        rpm, tpm = self.limits.requests_per_minute, self.limits.tokens_per_minute
        if rpm:
            self.requests = words[at + PACE], max(_pace(rpm)[1], words[at + PACE])
            self.requests_told = _told("requests", _rate(*self.requests))
        if tpm:
            self.tokens = words[at + INTERVAL], _pace(tpm)[1]
            self.tokens_told = _told("tokens", _rate(*self.tokens))

    def refusal(self, table: QuotaTable, wish: Use) -> Refusal | None:
        """Say why a request may not pass now; inside a section, of which it changes nothing."""
        if self.row < 0:
            return _UNCOUNTED
        words, at = table.words, table.at(self.row)
        if words[at + PACE] != self.requests[0] or words[at + INTERVAL] != self.tokens[0]:
            self.look(table, wish.now_ns)
        interval, burst = self.requests
        if burst and wish.calls:
            if not interval:
                return self.too_often(LATER_S)
            tat = words[at + REQUESTS]
            wait = limit.admit(tat, wish.now_ns, interval_ns=interval, burst_ns=burst)[1]
            if wait:
                return self.too_often(wait / 1e9)
        return self._refusal_to_hold(table, wish) if self.holds else None

    def _refusal_to_hold(self, table: QuotaTable, wish: Use) -> Refusal | None:
        words, at = table.words, table.at(self.row)
        if self.concurrent and table.under_way(self.row) >= words[at + OPEN]:
            return refuse(
                LimitReached,
                f"{self.who} may have {self.concurrent} requests under way at one time",
                retry_after_s=LATER_S,
            )
        if self.tokens[1]:
            refusal = self._too_many_tokens(table, wish)
            if refusal is not None:
                return refusal
        if self.budget >= 0 and wish.money:
            taken, since = 0, words[at + SINCE]
            if wish.at_us >= words[at + UNTIL]:
                since = table.since(self.row, wish.at_us)
            else:
                taken = table.taken(self.row)
            this = since == words[at + CAP_SINCE]
            if taken + wish.money > (words[at + CAP] if this else table.cap(self.row, since)):
                return self._too_dear(taken, wish.money)
        return None

    def _too_many_tokens(self, table: QuotaTable, wish: Use) -> Refusal | None:
        """Say when tokens are there; more than a share of them has to meet an unused one."""
        interval, burst = self.tokens
        rate = self.limits.tokens_per_minute or 0
        if wish.tokens > rate:
            message = (
                f"this request may use {wish.tokens} tokens, {self.who} may use {rate} a minute: "
                "ask for fewer with max_tokens"
            )
            return refuse(InvalidInput, message, param="max_tokens")
        tat, held = table.words[table.at(self.row) + TOKENS], table.held(self.row)
        wait = int(LATER_S * 1e9)
        if wish.tokens * interval > burst:
            wait = max(tat - wish.now_ns, wait if held else 0)
        elif interval:
            units = wish.tokens + held
            admitted = limit.admit(
                tat, wish.now_ns, interval_ns=interval, burst_ns=burst, cost=units
            )
            wait = admitted[1]
        if not wait:
            return None
        later = min(wait / 1e9, MOST_LATER_S)
        message = f"{self.who} may use {rate} tokens a minute; try again in {later:.1f} s"
        return refuse(LimitReached, message, retry_after_s=later)

    def too_often(self, wait_s: float) -> Refusal:
        """Say when a request may come again."""
        message = (
            f"{self.who} may make {self.limits.requests_per_minute} requests a minute; "
            f"try again in {wait_s:.1f} s"
        )
        return refuse(LimitReached, message, retry_after_s=wait_s)

    def _too_dear(self, taken: int, money: int) -> Refusal:
        budget = self.limits.budget
        period = "in all" if budget is None or budget.period == "total" else f"a {budget.period}"
        message = (
            f"{self.who} may spend {self.budget / 1e9:g} {period}, {taken / 1e9:g} is spent or "
            f"reserved, and this request may cost {money / 1e9:g}"
        )
        return refuse(BudgetExhausted, message)

    def share(self, table: QuotaTable, wish: Use) -> str:
        """Say what of its limits this node has, where it has not all; empty where it has."""
        words, at = table.words, table.at(self.row)
        parts: list[str] = []
        if self.budget >= 0:
            cap = table.cap(self.row, table.since(self.row, wish.at_us))
            if cap < self.budget:
                parts.append(f"{cap / 1e9:g} of {self.budget / 1e9:g} in money")
        if words[at + OPEN] < self.concurrent:
            parts.append(f"{words[at + OPEN]} of {self.concurrent} requests at one time")
        for kind, rate, pace in (
            ("requests", self.limits.requests_per_minute, self.requests),
            ("tokens", self.limits.tokens_per_minute, self.tokens),
        ):
            if rate and pace[0] != _pace(rate)[0]:
                parts.append(f"{_rate(*pace):g} of {rate} {kind} a minute")
        return ", ".join(parts)

    def take(self, table: QuotaTable, wish: Use) -> None:
        """Charge a request that no gate refused; inside a section."""
        words, at = table.words, table.at(self.row)
        interval = self.requests[0]
        if interval and wish.calls:
            words[at + REQUESTS] = max(words[at + REQUESTS], wish.now_ns) + interval
        if self.holds:
            if self.budget >= 0 and wish.at_us >= words[at + UNTIL]:
                table.roll(self.row, wish.at_us)
            table.reserve(self.row, wish.tokens, wish.money)


class Quotas:
    """The limits of one gateway, over the table that all share.

    Args:
        table: Where they are counted.

    Attributes:
        offline: Whether control is out of reach, so that no share can grow.
    """

    __slots__ = ("offline", "table")

    def __init__(self, table: QuotaTable) -> None:
        self.table = table
        self.offline = False

    def admit(
        self, gates: Sequence[Gate], wish: Use, slot: int, *, least: int | None = None
    ) -> Charge | Refusal:
        """Charge a request to all its gates, or to none.

        ``seal`` must follow, once its slot of the flight table is written.

        Args:
            gates: Of its key, its project and its model.
            wish: The most that it may use.
            slot: Of the flight table, which it will be written into.
            least: Money that it makes do with where a budget has no more, nano-units.

        Returns:
            What it holds until it is settled; or why it may not pass, then nothing is charged.
        """
        table = self.table
        table.acquire()
        for gate in gates:
            refusal = gate.refusal(table, wish)
            if refusal is not None and least is not None and refusal.code == BudgetExhausted.code:
                wish = wish._replace(money=least)
                refusal = gate.refusal(table, wish)
            if refusal is not None:
                return self._refused(gate, wish, refusal)
        table.begin([gate.row for gate in gates], slot, opening=True)
        for gate in gates:
            gate.take(table, wish)
        return Charge(tuple(gate.row for gate in gates if gate.holds), wish.tokens, wish.money)

    def _refused(self, gate: Gate, wish: Use, refusal: Refusal) -> Refusal:
        """Leave the section with a refusal that says whose share it is, and when there is more."""
        table = self.table
        if gate.row < 0:
            table.leave()
            return refusal
        table.deny(gate.row, wish.money if refusal.code == BudgetExhausted.code else 0)
        share = gate.share(table, wish)
        table.leave()
        if not share or refusal.status == InvalidInput.status:
            return refusal
        return refusal._replace(message=f"{refusal.message} ({_told_share(share, self.offline)})")

    def peek(self, gates: Iterable[Gate], now_ns: int, at_us: int) -> Refusal | None:
        """Say which limit is used up already, before anything is known of the request's place."""
        wish = Use(0, 0, at_us, now_ns)
        self.table.acquire()
        for gate in gates:
            refusal = gate.refusal(self.table, wish)
            if refusal is not None:
                return self._refused(gate, wish, refusal)
        self.table.leave()
        return None

    def settle(self, charge: Charge, slot: int, used: Use) -> None:
        """Give back what a request held and count what it used; ``seal`` must follow.

        Args:
            charge: From ``admit``.
            slot: Its slot, to be written before ``seal``.
            used: What it used.
        """
        table = self.table
        table.acquire()
        table.begin(charge.rows, slot, opening=False)
        table.settle(table.mine, charge, used)

    def seal(self) -> None:
        """The slot is written: what was charged or settled counts from now on."""
        self.table.seal()

    def pace(self, gate: Gate, now_ns: int) -> bytes | Refusal:
        """Charge a request to a gate that holds nothing: one word changes, or none.

        Returns:
            What ``story`` says afterwards; or why the request may not pass.
        """
        table = self.table
        if gate.row < 0:
            return _UNCOUNTED
        words, at = table.words, table.at(gate.row)
        table.acquire()
        if words[at + PACE] != gate.requests[0]:
            gate.look(table, now_ns)
        interval, burst = gate.requests
        tat, wait = limit.admit(words[at + REQUESTS], now_ns, interval_ns=interval, burst_ns=burst)
        if wait or not interval:
            refusal = gate.too_often(wait / 1e9 or LATER_S)
            return self._refused(gate, Use(0, 0, 0, now_ns), refusal)
        words[at + REQUESTS] = tat
        table.leave()
        level = tat - now_ns
        return gate.requests_told % ((burst - level) // interval, level // 1_000_000)

    def story(self, gates: Iterable[Gate], now_ns: int) -> bytes:
        """Headers that say what the tightest limits leave, as OpenAI's; empty without any."""
        table = self.table
        words = table.words
        requests = tokens = _NO_STORY
        for gate in gates:
            at = table.at(gate.row)
            interval, burst = gate.requests
            if interval:
                level = max(words[at + REQUESTS] - now_ns, 0)
                requests = min(requests, ((burst - level) // interval, level, gate.requests_told))
            interval, burst = gate.tokens
            if interval:
                level = max(words[at + TOKENS] - now_ns, 0)
                left = max(burst - level - table.held(gate.row) * interval, 0) // interval
                tokens = min(tokens, (left, level, gate.tokens_told))
        told = b""
        for left, level, text in (requests, tokens):
            if text:
                told += text % (left, level // 1_000_000)
        return told


def gates_of(limits: Mapping[str, Limits], rows: Mapping[str, int]) -> Mapping[str, Gate]:
    """Make the gate of each limit id."""
    return {name: Gate(each, rows.get(name, -1), _who(name)) for name, each in limits.items()}


def most_money(worst_in: int, worst_out: int, *, price_in: float, price_out: float) -> int:
    """Bound a request's cost: nano-units of its most tokens, rounded up."""
    return -int(-(worst_in * price_in + worst_out * price_out) * 1000 // 1)


def _who(limit_id: str) -> str:
    kind, _, name = limit_id.partition(":")
    return "this API key" if kind == "key" else f"{kind} {name!r}"


def _told_share(share: str, offline: bool) -> str:  # noqa: FBT001  one of two sentences
    if offline:
        return f"this node's share is {share}; the site is offline: more when control is back"
    return f"this node's share is {share}; it grows as far as other nodes have no use for theirs"


def _rate(interval_ns: int, burst_ns: int) -> float:
    """Units a minute, rounded for people."""
    return round(_MINUTE_NS / interval_ns, 1) if interval_ns and burst_ns else 0.0


def _pace(rate: int | None) -> tuple[int, int]:
    return per_minute(rate) if rate else (0, 0)


def _told(kind: str, rate: float | None) -> bytes:
    lines = (
        f"x-ratelimit-limit-{kind}: {rate or 0:g}",
        f"x-ratelimit-remaining-{kind}: %d",
        f"x-ratelimit-reset-{kind}: %dms",
        "",
    )
    return "\r\n".join(lines).encode()
