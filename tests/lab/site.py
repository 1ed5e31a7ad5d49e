"""One cloud, three edges, and a WAN that is cut for long: nobody on the edges' networks may notice.

Within the cut an edge loses power, control starts anew, and every clock goes ahead by 26 hours, so
that all certificates expire; then another edge loses power. Afterwards everything heals.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.books import compared
from lab.machine import Edge
from lab.report import Report
from lab.traffic import Asked, Traffic
from lab.tun import Weather
from lab.world import FAIR, World, chat

CALM_S = 10.0
NOTICED_S = 25.0
"""So long after the cut answers may say either."""
DAY_S = 26 * 3600.0
BACK_S, LONGEST_S = 65.0, 900.0
FIRST_TOKEN_S = 60.0


@dataclass(frozen=True)
class Outage:
    """While a machine was off and starting: from the kill to its first whole answer."""

    machine: str
    begin: float
    end: float

    def covers(self, asked: Asked) -> bool:
        """Whether a request met it."""
        mine = asked.machine == self.machine
        return mine and asked.sent <= self.end and asked.ended >= self.begin


@dataclass(frozen=True)
class Cut:
    """When nothing passed, and when the last edge was back; seconds since the lab's begin."""

    begin: float
    end: float
    back: float


def run(world: World, report: Report, *, cut_s: float, rate: float) -> None:
    """Play it, and say what held."""
    world.weather(FAIR)
    world.begin(chat("tiny"))
    traffic = Traffic(world.key, world.began)
    with traffic.flowing(world.edges, rate=rate, seed=world.seed):
        time.sleep(CALM_S)
        begin = traffic.now()
        outages = _cut(world, report, traffic, cut_s=cut_s)
        end = traffic.now()
        world.weather(FAIR)
        back = world.until(world.all_connected, timeout_s=LONGEST_S)
        report.must(f"all edges back within {BACK_S:.0f} s", f"{back:.1f} s", holds=back <= BACK_S)
        time.sleep(3 * CALM_S)
    _answers(report, traffic.asked, outages, cut=Cut(begin, end, end + back))
    compared(world, report, traffic.asked)


def _cut(world: World, report: Report, traffic: Traffic, *, cut_s: float) -> list[Outage]:
    """What happens while nothing passes."""
    outages: list[Outage] = []
    begin = time.monotonic()

    def reboot(edge: Edge, when: str) -> None:
        outage = _reboot(world, traffic, edge)
        outages.append(outage)
        took = outage.end - outage.begin
        what = f"first answer of {when} within {FIRST_TOKEN_S:.0f} s"
        report.must(what, f"{took:.1f} s", holds=took <= FIRST_TOKEN_S)

    def control() -> None:
        world.cloud.power_off()
        world.cloud.start()

    steps: list[tuple[float, Callable[[], object]]] = [
        (0.25, lambda: reboot(world.edges[0], "an offline reboot")),
        (0.4, control),
    ]
    if world.shim:
        steps.append((0.6, lambda: world.shift(DAY_S)))
        last = world.edges[-1]
        steps.append((0.7, lambda: reboot(last, "an offline reboot past the certificate's end")))
    else:
        report.skip("certificates that expire: needs a C compiler, cc")
    world.weather(Weather(cut=True))
    for share, step in steps:
        time.sleep(max(0.0, begin + share * cut_s - time.monotonic()))
        step()
    time.sleep(max(0.0, begin + cut_s - time.monotonic()))
    report.say("WAN cut, s", round(time.monotonic() - begin))
    return outages


def _reboot(world: World, traffic: Traffic, edge: Edge) -> Outage:
    begin = traffic.now()
    edge.power_off()
    edge.start(timeout_s=120.0)

    def answered() -> list[float]:
        mine = [a for a in traffic.asked if a.machine == edge.space and a.sent > begin]
        return [a.ended for a in mine if a.got.complete]

    world.until(lambda: bool(answered()), f"an answer of {edge.space}", timeout_s=120.0)
    return Outage(edge.space, begin, min(answered()))


def _answers(
    report: Report, asked: Sequence[Asked], outages: Sequence[Outage], *, cut: Cut
) -> None:
    """Nobody may have noticed the cut, but by what the answers say of it."""
    apart = [a for a in asked if any(outage.covers(a) for outage in outages)]
    rest = [a for a in asked if a not in apart]
    within = [a for a in rest if cut.begin <= a.sent and a.ended <= cut.end]
    failed = [a for a in rest if a.failed]
    report.say("requests, whole lab", len(asked))
    report.say("requests within the cut, reboots apart", len(within))
    report.say("requests that met a reboot", len(apart))
    report.say("of these failed", sum(a.failed for a in apart))
    reasons = Counter(f"{a.machine} {a.got.status} {a.got.why[:160]}" for a in failed)
    report.say("requests failed, reboots apart, by reason", dict(reasons))
    report.must("no request failed", len(failed), holds=bool(within) and not failed)
    sure = [a for a in within if a.got.status == 200 and a.sent > cut.begin + NOTICED_S]
    silent = sum(not a.offline for a in sure)
    seen = f"{len(sure) - silent} of {len(sure)}"
    report.must("while cut, answers say so", seen, holds=bool(sure) and not silent)
    before = [a for a in rest if a.ended < cut.begin or a.sent > cut.back + CALM_S]
    wrong = sum(a.offline for a in before)
    seen = f"{wrong} of {len(before)}"
    report.must("while not, none says so", seen, holds=bool(before) and not wrong)
