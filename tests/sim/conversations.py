"""Conversations whose turns begin with all that was said, with and without affinity."""

import math
from collections import OrderedDict
from dataclasses import dataclass

from littoral.gateway.affinity import Affinity
from littoral.placement.decide import Row, rank
from littoral.placement.warmth import warmed
from sim.arena import World, quantile

ENDPOINTS = 4
SLOTS = 8
REMEMBERED = 24
"""Conversations whose computed beginnings an engine holds."""
TURNS = 8
TOKENS = 600
"""What each turn adds to the prompt."""
T_IN, T_STEP, OUT = 0.0005, 0.01, 60
RUN_S = 900.0


@dataclass(frozen=True, slots=True)
class Beginnings:
    """First tokens, seconds; prompts found computed; the fullest engine over the mean."""

    first_p50: float
    first_p95: float
    warm: float
    skew: float


class Fleet:
    """Engines that remember prompts, chosen by the gateway's own ``rank``."""

    def __init__(self, world: World, *, keeps: bool) -> None:
        self.world, self.keeps = world, keeps
        self.affinity = Affinity()
        row = Row("e", True, 1, 1 << 30, SLOTS, 0.02, T_IN, T_STEP, 0.4, 1.0, 0.0, 0.0)  # noqa: FBT003  ready
        self.rows = [row._replace(id=f"e{at}") for at in range(ENDPOINTS)]
        self.loads = [0] * ENDPOINTS
        self.ends: list[list[float]] = [[] for _ in range(ENDPOINTS)]
        self.memory: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(ENDPOINTS)]
        self.served = [0] * ENDPOINTS
        self.firsts: list[float] = []
        self.warm = 0

    def ask(self, talk: int, turn: int) -> None:
        """One turn of a conversation; the next follows after the answer and a pause."""
        tokens = TOKENS * (turn + 1)
        key = Affinity.key("p", "m", b"%d" % talk)
        last = self.affinity.where(key) if self.keeps else None
        warm = -1 if last is None else int(last[1:])
        rows = self.rows if warm < 0 else warmed(self.rows, warm)
        ask = {"tokens_in": tokens, "tokens_out": OUT, "mask": 1, "total_s": math.inf, "skip": 0}
        at = rank(rows, self.loads, **ask).position
        self.affinity.served(key, f"e{at}")
        held = self.memory[at].pop(talk, 0)
        self.memory[at][talk] = tokens
        if len(self.memory[at]) > REMEMBERED:
            self.memory[at].popitem(last=False)
        self.warm += held > 0
        self.serve(at, tokens - held, talk=talk, turn=turn)

    def serve(self, at: int, fresh: int, *, talk: int, turn: int) -> None:
        """A slot when one is free; the first token after what is fresh of the prompt."""
        world, ends = self.world, self.ends[at]
        begin = max(world.now, sorted(ends)[-SLOTS]) if len(ends) >= SLOTS else world.now
        first = begin + 0.02 + T_IN * fresh
        end = first + T_STEP * OUT
        ends.append(end)
        self.loads[at] += 1
        self.served[at] += 1
        self.firsts.append(first - world.now)
        world.at(end, lambda: self.end(at, end, talk=talk, turn=turn))

    def end(self, at: int, end: float, *, talk: int, turn: int) -> None:
        """Answered: think, then go on."""
        self.ends[at].remove(end)
        self.loads[at] -= 1
        if turn + 1 < TURNS:
            pause_s = self.world.exponential(4.0)
            self.world.at(self.world.now + pause_s, lambda: self.ask(talk, turn + 1))


def conversations(rate: float, *, keeps: bool, seed: int = 8) -> Beginnings:
    """``rate`` conversations begin a second."""
    world = World(seed)
    fleet = Fleet(world, keeps=keeps)
    talks = iter(range(1 << 30))
    world.stream(rate, lambda: fleet.ask(next(talks), 0), start=0.0, until=RUN_S)
    world.run(RUN_S)
    firsts = fleet.firsts[len(fleet.firsts) // 10 :]
    return Beginnings(
        quantile(firsts, 0.5), quantile(firsts, 0.95), fleet.warm / len(fleet.firsts),
        max(fleet.served) * ENDPOINTS / sum(fleet.served),
    )  # fmt: skip
