"""Purse: what all edges together use of each limit; it may never be more than the limit.

Gateways say what they admit, and in which period they count it. What is left out of a sum is what
no division of a limit can see: a clock that is wrong and not yet corrected, records that a power
cut took, and the time after somebody copied a disk, for two machines then spend one slice.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from littoral.domain.ids import KeyId
from littoral.domain.limits import Limits, nanos
from littoral.domain.units import HOUR_US

COPIED_US = 6 * HOUR_US
"""For so long after a disk was copied nothing is compared: its slices count twice until both
machines have met control again as nodes of their own."""


@dataclass(slots=True)
class _Use:
    """What one request uses of its key's limit: money in a period, and a place while it is open."""

    name: str
    since: int
    money: int
    counts: bool


@dataclass(slots=True)
class Purse:
    """The limits, and what was used of them.

    Attributes:
        wrong: Every sum that was above its limit.
        compared: How many sums were.
    """

    wrong: list[str] = field(default_factory=list[str])
    compared: int = 0
    _caps: dict[str, Limits] = field(default_factory=dict[str, Limits])
    _uses: dict[str, _Use] = field(default_factory=dict[str, _Use])
    _money: dict[tuple[str, int], int] = field(
        default_factory=lambda: defaultdict[tuple[str, int], int](int)
    )
    _open: dict[str, int] = field(default_factory=lambda: defaultdict[str, int](int))
    _blind_us: int = 0

    def minted(self, key: KeyId, limits: Limits) -> None:
        """A key with limits was made; these stay."""
        self._caps[f"key:{key}"] = limits

    def copied(self, now_us: int) -> None:
        """Two machines have the same slices from now on."""
        self._blind_us = now_us + COPIED_US

    def forgotten(self, now_us: int) -> None:
        """Control was restored from a time at which it did not know a node that has slices."""
        self.copied(now_us)

    def admitted(
        self, request: str, sinces: Mapping[str, int], *, money: int, now_us: int, right: bool
    ) -> None:
        """A gateway admitted a request.

        Args:
            request: Which.
            sinces: The limits that it counts in, and in each the begin of the period.
            money: The most that it may cost, nano-units.
            now_us: The true time.
            right: Whether the gateway has that time, too.
        """
        for name, since in sinces.items():
            if name not in self._caps:
                continue
            use = self._uses[request] = _Use(name, since, money, right)
            if right:
                self._money[name, since] += money
                self._open[name] += 1
                self._compare(use, now_us)

    def settled(self, request: str, money: int) -> None:
        """It has ended, and used so much."""
        use = self._uses.get(request)
        if use is not None and use.counts:
            self._money[use.name, use.since] += money - use.money
            self._open[use.name] -= 1
            use.money, use.counts = money, False

    def lost(self, request: str) -> None:
        """A power cut may have taken its record: nobody may know that it used anything."""
        use = self._uses.pop(request, None)
        if use is not None:
            self._money[use.name, use.since] -= use.money
            self._open[use.name] -= use.counts

    def _compare(self, use: _Use, now_us: int) -> None:
        if now_us < self._blind_us:
            return
        self.compared += 1
        cap = self._caps[use.name]
        taken, under_way = self._money[use.name, use.since], self._open[use.name]
        if cap.budget is not None and taken > nanos(cap.budget.amount):
            most = nanos(cap.budget.amount)
            self.wrong.append(f"{use.name}: {taken} of {most} nano-units used in {use.since}")
        if cap.concurrent is not None and under_way > cap.concurrent:
            self.wrong.append(f"{use.name}: {under_way} requests open, {cap.concurrent} may be")
