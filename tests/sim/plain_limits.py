"""Limits as plainly as they can be said: lists of what was admitted and what it used."""

from dataclasses import dataclass

from littoral.domain.limits import NANO, Limits, limit_ids, nanos, period_of


@dataclass
class Asking:
    """A request as the model keeps it."""

    names: tuple[str, str, str]
    tokens: int
    money: int
    at_us: int


class Model:
    """The plain truth: lists of what was admitted and what it used."""

    def __init__(self) -> None:
        self.limits: dict[str, Limits] = {}
        self.admitted: dict[str, list[int]] = {}
        self.used: dict[str, list[tuple[int, int]]] = {}
        self.spent: dict[str, list[tuple[int, int]]] = {}
        self.open: list[Asking] = []

    def fits(self, asking: Asking, now_ns: int) -> bool:
        """Whether every limit has room for a request."""
        return all(
            self._fits(name, self.limits[name], asking, now_ns)
            for name in limit_ids(*asking.names)
            if name in self.limits
        )

    def _fits(self, name: str, limits: Limits, asking: Asking, now_ns: int) -> bool:
        mine = [each for each in self.open if name in limit_ids(*each.names)]
        rate = limits.requests_per_minute
        if rate and self._level([(at, 1) for at in self.admitted.get(name, [])], rate, now_ns, 1):
            return False
        if limits.concurrent and len(mine) >= limits.concurrent:
            return False
        rate = limits.tokens_per_minute
        wanted = asking.tokens + sum(each.tokens for each in mine)
        if rate and self._level(self.used.get(name, []), rate, now_ns, wanted):
            return False
        if limits.budget is None or not asking.money:
            return True
        since, _ = period_of(limits.budget.period, asking.at_us)
        taken = sum(money for at, money in self.spent.get(name, []) if at >= since)
        taken += sum(each.money for each in mine if each.at_us >= since)
        return taken + asking.money <= nanos(limits.budget.amount)

    @staticmethod
    def _level(events: list[tuple[int, int]], rate: int, now: int, more: int) -> bool:
        """Whether a bucket that leaks ``rate`` a minute would run over."""
        interval = 60 * NANO // rate
        level = last = 0
        for at, count in events:
            level = max(level - (at - last), 0) + count * interval
            last = at
        return max(level - (now - last), 0) + more * interval > rate * interval

    def admit(self, asking: Asking, now_ns: int) -> None:
        """It was admitted."""
        for name in limit_ids(*asking.names):
            self.admitted.setdefault(name, []).append(now_ns)
        self.open.append(asking)

    def settle(self, asking: Asking, tokens: int, money: int, now_ns: int) -> None:
        """It used so much."""
        self.open.remove(asking)
        for name in limit_ids(*asking.names):
            self.used.setdefault(name, []).append((now_ns, tokens))
            self.spent.setdefault(name, []).append((asking.at_us, money))
