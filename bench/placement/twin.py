"""Twin: two engines of steps with what was measured of the real ones, for rules in hindsight."""

from collections.abc import Sequence
from heapq import heappop, heappush

from traffic import Weather
from world import RTT_S, SLOTS

from littoral.domain.platform import Steps
from sim.knowing import Known
from sim.stepper import Ask, Stepper

LIMITS = (0, 12, 16, 20, 30, 45, 70, 1000)
CONTENDED = 2.0
PATIENCE_S = 1.0
"""How long a rule waits for a link that is cut."""


def steps_of(known: Known, place: str) -> Steps:
    """What a step costs, from what was learned of requests."""
    _, read, alone, beside = known.places[place].recursion.theta
    beside = min(beside, 0.9 * alone)
    return Steps(b0=alone - beside, b1=read, b2=beside, chunk=512)


def kept(known: Known, limit: int, *, made: Sequence[Ask], weather: Weather) -> int:
    """Deadlines kept where inputs below ``limit`` tokens go to the edge."""
    found = 0

    def done(ask: Ask, now: float) -> None:
        nonlocal found
        late = RTT_S if ask.place == "cloud" else 0.0
        found += now + late - ask.came <= ask.deadline

    def within(times: Sequence[tuple[float, float]], now: float) -> bool:
        return any(begins <= now < ends for begins, ends in times)

    places = {
        name: Stepper(
            slow=lambda now, name=name: (
                CONTENDED if name == "edge" and within(weather.bursts, now) else 1.0
            ),
            done=done, steps=steps_of(known, name), slots=SLOTS[name],
        )
        for name in SLOTS
    }  # fmt: skip
    comes: list[tuple[float, int, str]] = []
    for number, ask in enumerate(made):
        place = "edge" if ask.tokens_in < limit else "cloud"
        heappush(comes, (ask.came, number, place))
    while comes:
        at, number, place = heappop(comes)
        if place == "cloud" and within(weather.cuts, at):
            heappush(comes, (at + PATIENCE_S, number, "edge"))
            continue
        for each in places.values():
            each.run(at)
        ask = made[number]
        ask.place = place
        places[place].take(ask, at)
    for each in places.values():
        each.run(1e9)
    return found
