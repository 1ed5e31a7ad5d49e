"""Wrong clocks: machines of 1970, of yesterday and of tomorrow join, serve, and are re-dated.

The one of 1970 has no battery: it loses power while the WAN is cut, and starts in 1970 again. At
last everything is off for eight days, longer than any certificate holds.
"""

import time

from lab.books import compared
from lab.report import Report
from lab.traffic import Traffic
from lab.tun import Weather
from lab.world import FAIR, World, chat

DAY_S = 86_400.0
BEGIN_S = 60.0
"""What the machine without a battery takes for the time when it starts, s after 1970 began."""
OFF_DAYS = 8
CALM_S = 15.0
BACK_S = 65.0
DATES_S = 30.0
"""A date may be so far from the true one."""


def run(world: World, report: Report, *, rate: float) -> None:
    """Play it, and say what held."""
    if world.shim is None:
        report.skip("clocks: needs a C compiler, cc")
        return
    began = time.time()
    old, late, early = world.edges
    old.clock.shift(BEGIN_S - began)
    late.clock.shift(-DAY_S)
    early.clock.shift(DAY_S)
    world.weather(FAIR)
    world.begin(chat("echo"))
    report.must("machines of 1970, -24 h and +24 h join and serve", "all three", holds=True)
    traffic = Traffic(world.key, world.began)
    with traffic.flowing(world.edges, rate=rate, seed=world.seed):
        time.sleep(CALM_S)
    with traffic.flowing([late, early], rate=rate, seed=world.seed + 10):
        _cut(world, report, traffic, rate=rate)
    failed = [a.got for a in traffic.asked if a.failed]
    report.must("no request failed", failed[:3] or len(traffic.asked), holds=not failed)
    rows = compared(world, report, traffic.asked)
    wrong = [r for r in rows if not began - DATES_S < r["at_us"] / 1e6 < time.time() + DATES_S]
    seen = f"{len(rows) - len(wrong)} of {len(rows)} rows"
    report.must("rows of the ledger have true dates", seen, holds=bool(rows) and not wrong)
    _off(world, report)


def _off(world: World, report: Report) -> None:
    """Neither of two machines knows how long it was off; control's certificate is a new one."""
    old, late, _ = world.edges
    for machine in (*world.edges, world.cloud):
        machine.power_off()
    world.shift(OFF_DAYS * DAY_S)
    old.clock.shift(BEGIN_S - time.time())
    late.clock.shift(0.0)
    world.cloud.start(timeout_s=60.0)
    begin = time.monotonic()
    for edge in world.edges:
        edge.start(timeout_s=60.0)
    what = f"after {OFF_DAYS} days off, one in 1970 and one where its clock stood, all are back"
    world.until(world.all_connected, "every machine to be back", timeout_s=240.0)
    back = time.monotonic() - begin
    report.must(f"{what} within {BACK_S:.0f} s", f"{back:.1f} s", holds=back <= BACK_S)


def _cut(world: World, report: Report, traffic: Traffic, *, rate: float) -> None:
    """The machine without a battery starts while nobody can tell it the time."""
    old = world.edges[0]
    world.weather(Weather(cut=True))
    old.power_off()
    old.clock.shift(BEGIN_S - time.time())
    begin = time.monotonic()
    old.start(timeout_s=60.0)
    took = time.monotonic() - begin
    report.must("it serves offline, in 1970 again", f"after {took:.1f} s", holds=took <= 60.0)
    with traffic.flowing([old], rate=rate, seed=world.seed + 20):
        time.sleep(CALM_S)
    world.weather(FAIR)
    back = world.until(world.all_connected, "every machine to be back", timeout_s=120.0)
    report.must(f"all are back within {BACK_S:.0f} s", f"{back:.1f} s", holds=back <= BACK_S)
