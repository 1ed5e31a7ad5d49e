"""Knowing: what outcomes teach of two places, request by request, and rivals beside it.

The same code promises and learns on live engines and in a replay of what was recorded there.
"""

import csv
import math
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NamedTuple

from littoral.cost.length import Length, leaned, seen
from littoral.cost.predictor import Outcome, Predictor, fold, fresh, observe
from littoral.cost.residual import Pair, score
from littoral.domain.ids import EndpointId
from littoral.placement.decide import Row, Verdict, rank
from sim.choosing import CLOUD, EDGE, learned
from sim.rivals import Rival, rivals

PROBE = "probe"
RECORDED = pathlib.Path(__file__).with_name("data") / "contention.csv"
"""A run of bench/placement/live.py: two real engines, other load beside one."""
STRAINED = 1.3
"""Strain from which on a request counts as one of a contended time."""
SETTLING = 60
"""Predictions before the first that is scored: cold ones are not held to anything."""
USUAL = {"chat": 2.3, "rag": 1.8, "sum": 2.7}
"""Log tokens that answers of each kind are thought to have before any was seen."""


class Seen(NamedTuple):
    """One request: how it came, and what it took; times in seconds.

    ``came`` counts from the beginning of the run and is below 0 for the probes before. ``active``
    others were at the place; ``strain`` was read when it came, ``strained`` is the mean meanwhile.
    """

    came: float
    place: str
    tag: str
    tokens_in: int
    tokens_out: int
    active: int
    strain: float
    strained: float
    first_s: float = 0.0
    total_s: float = 0.0


class Scored(NamedTuple):
    """A request with what everybody had promised: (p50, p90) of all of it, ours of the first."""

    seen: Seen
    promised: dict[str, tuple[float, float]]
    first: tuple[float, float]


@dataclass(slots=True)
class Known:
    """What a gateway has learned: places, lengths by kind, and the rivals' views of each place."""

    slots: dict[str, int]
    places: dict[str, Predictor]
    lengths: dict[str, Length]
    rivals: dict[str, dict[str, Rival]] = field(default_factory=dict)

    def copy(self) -> "Known":
        """The same to go on from; predictors and lengths are values."""
        return Known(self.slots, dict(self.places), dict(self.lengths), self.rivals)

    def row(self, place: str, strain: float) -> Row:
        """A place as the gateway's rule reads it."""
        base = EDGE if place == "edge" else CLOUD
        folded = fold(self.places[place], version=0, strain=strain)
        return learned(base, folded)._replace(slots=self.slots[place])

    def usual(self, tag: str) -> tuple[int, float]:
        """Tokens and log half-width of the answers of a kind."""
        length = self.lengths.get(tag) or Length()
        return max(1, round(length.expected)), length.width

    def promise(self, each: Seen) -> tuple[dict[str, tuple[float, float]], tuple[float, float]]:
        """What everybody says it will take, by the length that is usual and by the true one."""
        row, usual = self.row(each.place, each.strain), self.usual(each.tag)
        guess, exact = ranked(row, each, usual), ranked(row, each, (each.tokens_out, 0.0))
        promised: dict[str, tuple[float, float]] = {}
        for name, rival in self.rivals.get(each.place, {}).items():
            promised[name] = rival.predict(each.tokens_in, usual[0])
            promised[f"{name}_known_length"] = rival.predict(each.tokens_in, each.tokens_out)
        promised["ours"] = (guess.total_p50, guess.total_p90)
        promised["ours_known_length"] = (exact.total_p50, exact.total_p90)
        spread = math.exp(self.places[each.place].lean.width)
        return promised, (guess.first_p50, guess.first_p50 * spread)

    def learn(self, each: Seen, promised: dict[str, tuple[float, float]]) -> None:
        """Take what came of a request that ended."""
        issued = promised.get("ours", (0.0, 0.0))
        if each.tag != PROBE:
            heard = seen(self.lengths.get(each.tag) or Length(), each.tokens_out)
            if issued[0]:
                heard = leaned(heard, late=each.total_s > issued[0])
            self.lengths[each.tag] = heard
        self.places[each.place] = observe(self.places[each.place], outcome(each, self, issued))
        for name, rival in self.rivals.get(each.place, {}).items():
            rival.learn(promised[name], each.total_s)

    def late(self, each: Seen, issued: tuple[float, float]) -> None:
        """Take that a request was given up after ``total_s``."""
        censored = outcome(each._replace(first_s=0.0), self, issued)
        self.places[each.place] = observe(self.places[each.place], censored)


def outcome(each: Seen, known: Known, issued: tuple[float, float]) -> Outcome:
    """A request as its predictor hears of it; without a first token it was given up."""
    return Outcome(
        tokens_in=each.tokens_in,
        tokens_out=each.tokens_out,
        active=each.active,
        slots=known.slots[each.place],
        first_s=each.first_s or None,
        total_s=each.total_s,
        predicted_p90_s=issued[1],
        censored=not each.first_s,
        strain=each.strained,
    )


def ranked(row: Row, each: Seen, length: tuple[int, float]) -> Verdict:
    """What the gateway's own rule predicts for one place."""
    return rank(
        [row._replace(ready=True)],
        [each.active],
        tokens_in=each.tokens_in,
        tokens_out=length[0],
        mask=1,
        total_s=math.inf,
        skip=0,
        length=length[1],
    )


def begun(probes: Sequence[Seen], slots: dict[str, int]) -> Known:
    """Begin with what a few requests, one after the other at idle places, say."""
    lengths = {tag: Length(p50=p50, p90=p50 + 0.9) for tag, p50 in USUAL.items()}
    known = Known(slots, {name: fresh(EndpointId(name)) for name in slots}, lengths)
    for each in probes:
        known.learn(each, {})
    for name in slots:
        own = [each for each in probes if each.place == name]
        profile = known.places[name].recursion.theta[:3]
        known.rivals[name] = rivals(one_shot(own), profile) if len(own) > 2 else {}
    return known


def one_shot(probes: Sequence[Seen]) -> tuple[float, float, float]:
    """Seconds a request, an input token and an output token, from the first three probes."""
    small, large, long = probes[:3]
    read = max(1e-4, (large.total_s - small.total_s) / (large.tokens_in - small.tokens_in))
    write = max(1e-4, (long.total_s - long.first_s) / max(1, long.tokens_out - 1))
    return max(1e-3, small.total_s - read * small.tokens_in), read, write


def replay(rows: Iterable[Seen], slots: dict[str, int]) -> list[Scored]:
    """Promise each recorded request from what had ended before it came, and learn when it ends."""
    ordered = sorted(rows)
    known = begun([each for each in ordered if each.came < 0.0], slots)
    scored: list[Scored] = []
    flying: list[tuple[float, int, Scored]] = []
    for number, each in enumerate(each for each in ordered if each.came >= 0.0):
        while flying and flying[0][0] <= each.came:
            ended = heappop(flying)[2]
            known.learn(ended.seen, ended.promised)
        scored.append(Scored(each, *known.promise(each)))
        heappush(flying, (each.came + each.total_s, number, scored[-1]))
    return scored


def accuracy(pairs: list[Pair]) -> dict[str, float]:
    """The figures of many predictions."""
    found = score(pairs)
    return {
        "seen": found.seen, "coverage_p90": found.coverage,
        "coverage_low": found.coverage_low, "coverage_high": found.coverage_high,
        "bias": found.bias, "mdape": found.mdape, "wape": found.wape,
        "sharpness": found.sharpness, "pinball": found.pinball,
    }  # fmt: skip


def settling(scored: Sequence[Scored]) -> int:
    """How many predictions come before the first that is scored: at most a third of a short run."""
    return min(SETTLING, len(scored) // 3)


def judged(scored: Sequence[Scored]) -> dict[str, Any]:
    """How right everybody's predictions were, after settling."""
    rows = scored[settling(scored) :]
    names = sorted({name for row in rows for name in row.promised})
    table = {
        name: accuracy([Pair(*row.promised[name], row.seen.total_s) for row in rows])
        for name in names
    }
    ours, known = table.pop("ours"), table.pop("ours_known_length")
    strained = [row for row in rows if row.seen.strain > STRAINED]
    return ours | {
        "mdape_known_length": known["mdape"], "bias_known_length": known["bias"],
        "coverage_known_length": known["coverage_p90"],
        "pinball_known_length": known["pinball"],
        "first": accuracy([Pair(*row.first, row.seen.first_s) for row in rows]),
        "during_contention": accuracy(
            [Pair(*row.promised["ours"], row.seen.total_s) for row in strained]
        ),
        "rivals": table,
    }  # fmt: skip


def write(rows: Iterable[Seen], path: pathlib.Path) -> None:
    """Write what was seen, a line a request: times in milliseconds, strains in hundredths."""
    with path.open("w", encoding="ascii", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(Seen._fields)
        for each in rows:
            times = [round(1000 * value) for value in (each.first_s, each.total_s)]
            strains = [round(100 * value) for value in (each.strain, each.strained)]
            out.writerow([round(1000 * each.came), *each[1:6], *strains, *times])


def read(path: pathlib.Path) -> Iterator[Seen]:
    """Read what ``write`` wrote."""
    with path.open(encoding="ascii", newline="") as file:
        for line in csv.DictReader(file):
            figures = {
                name: int(line[name]) for name in Seen._fields if name not in {"place", "tag"}
            }
            yield Seen(
                figures["came"] / 1000, line["place"], line["tag"],
                *(figures[name] for name in ("tokens_in", "tokens_out", "active")),
                *(figures[name] / 100 for name in ("strain", "strained")),
                *(figures[name] / 1000 for name in ("first_s", "total_s")),
            )  # fmt: skip
