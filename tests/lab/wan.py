"""A bad link: 256 kbit/s, 300 ms there and back, 5 and 10 % loss, and twenty cuts of it.

Sixteen cuts of up to 5 s, two longer ones, and one of each direction alone. After each, a call from
the edge to control and back says when the way works again.
"""

import random
import threading
import time
from dataclasses import dataclass, replace

from lab.books import compared
from lab.machine import Edge
from lab.report import Report
from lab.traffic import Traffic
from lab.tun import Weather
from lab.world import FAIR, World, chat

BAD = Weather(delay_s=0.15, rate=32_000.0, queue_s=0.5)
LOSSES = (0.05, 0.10)
SHORT, SHORT_S, SOON_S = 16, 5.0, 10.0
LONG_S, LATE_S = 25.0, 65.0
EVERY_S = 0.5
SETTLE_S = 3.0


@dataclass(frozen=True)
class Break:
    """One cut: how long, of which directions, with which loss before and after."""

    seconds: float
    up: bool
    down: bool
    loss: float

    @property
    def within_s(self) -> float:
        """How soon after it the way must work."""
        return SOON_S if self.seconds <= SHORT_S else LATE_S


def breaks(seed: int) -> list[Break]:
    """All twenty, in a random order."""
    chance = random.Random(seed)
    found = [(chance.uniform(1.0, SHORT_S), True, True) for _ in range(SHORT)]
    found += [(LONG_S / 2, True, True), (LONG_S, True, True)]
    found += [(LONG_S, True, False), (LONG_S, False, True)]
    chance.shuffle(found)
    return [Break(*each, LOSSES[at % 2]) for at, each in enumerate(found)]


def run(world: World, report: Report, *, rate: float) -> None:
    """Play it, and say what held."""
    edge = world.edges[0]
    cable = world.cables[edge.space]
    cable.set(FAIR)
    world.begin(chat("echo"))
    traffic = Traffic(world.key, world.began)
    with traffic.flowing([edge], rate=rate, seed=world.seed):
        took = [(each, _played(world, edge, each)) for each in breaks(world.seed)]
        cable.set(replace(BAD, loss=LOSSES[0]))
        time.sleep(SETTLE_S)
    _told(report, took)
    failed = [a.got for a in traffic.asked if a.failed]
    report.say("requests at the edge", len(traffic.asked))
    report.must("no request failed", failed[:3] or 0, holds=bool(traffic.asked) and not failed)
    report.say("bytes up, down", [cable.up.octets, cable.down.octets])
    compared(world, report, traffic.asked)


def _played(world: World, edge: Edge, each: Break) -> float:
    """Cut, heal, and wait for the way to work; seconds from healing."""
    cable = world.cables[edge.space]
    whole = replace(BAD, loss=each.loss)
    cable.set(whole)
    time.sleep(SETTLE_S)
    cable.up.weather = replace(whole, cut=each.up)
    cable.down.weather = replace(whole, cut=each.down)
    time.sleep(each.seconds)
    cable.set(whole)
    took = _works(world, edge)
    print(f"       {each}: {took:.1f} s", flush=True)
    return took


def _works(world: World, edge: Edge) -> float:
    """Seconds until a call from the edge to control is answered; a new one each half second."""
    begin, key = time.monotonic(), world.cloud.key
    answered = threading.Event()
    took: list[float] = []

    def call() -> None:
        if edge.answers("/api/v1/status", key=key):
            took.append(time.monotonic() - begin)
            answered.set()

    while not answered.wait(EVERY_S) and time.monotonic() < begin + 2 * LATE_S:
        threading.Thread(target=call, daemon=True).start()
    return min(took, default=float("inf"))


def _told(report: Report, took: list[tuple[Break, float]]) -> None:
    for within, kind in ((SOON_S, f"up to {SHORT_S:.0f} s"), (LATE_S, "longer or one-way")):
        found = sorted(s for each, s in took if each.within_s == within)
        what = f"after each cut {kind} the way works within {within:.0f} s"
        seen = f"{len(found)} cuts, median {found[len(found) // 2]:.1f} s, last {found[-1]:.1f} s"
        report.must(what, seen, holds=found[-1] <= within)
    report.say("cuts", [[round(each.seconds, 1), each.loss, round(s, 1)] for each, s in took])
