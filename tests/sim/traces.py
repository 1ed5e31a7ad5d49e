"""Traces: recorded arrivals of others through an engine of steps, each promised and learned."""

import csv
import pathlib
from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from littoral.domain.platform import Steps
from sim.knowing import Scored, Seen, begun
from sim.stepper import Ask, Stepper

STEPS = Steps(b0=1.37e-2, b1=3.75e-5, b2=7.64e-5, b3=3.67e-8, b4=4.88e-10)
"""Llama 3.1 8B by vLLM on one RTX PRO 6000, fitted to a public recording of it."""
SLOTS = 64
STRETCH = 2.2
"""By how much gaps between requests are longer than recorded: the trace is of more machines."""
SLOWER, FROM, TO = 1.8, 0.6, 0.75
"""How much slower the machine is, unknown to all, and in which part of the time."""
MOST = 5000
QUIET = ((64, 1), (4096, 1), (64, 128), (512, 64), (2048, 16), (1024, 256), (4096, 64), (256, 16))


def arrivals(path: pathlib.Path, most: int = MOST) -> list[Ask]:
    """The first requests of an Azure trace: TIMESTAMP, ContextTokens, GeneratedTokens."""
    with path.open(encoding="ascii", newline="") as file:
        lines = list(islice(csv.DictReader(file), most))
    times = [datetime.fromisoformat(line["TIMESTAMP"]) for line in lines]
    return [
        Ask(
            came=STRETCH * (at - times[0]).total_seconds(), tag=path.stem,
            tokens_in=int(line["ContextTokens"]), tokens_out=max(1, int(line["GeneratedTokens"])),
            deadline=0.0, confidential=False,
        )
        for at, line in zip(times, lines, strict=True)
    ]  # fmt: skip


def played(asks: Sequence[Ask], *, steps: Steps = STEPS, slots: int = SLOTS) -> list[Scored]:
    """Let requests come one by one; each is promised when it comes and learned when it ends."""
    span = asks[-1].came
    place = {"edge": slots}
    known = begun(_probes(steps, slots), place)
    flying: dict[int, Scored] = {}
    scored: list[Scored] = []

    def done(ask: Ask, now: float) -> None:
        promised = flying.pop(id(ask))
        took = promised.seen._replace(first_s=ask.first - ask.came, total_s=now - ask.came)
        known.learn(took, promised.promised)
        scored.append(promised._replace(seen=took))

    engine = Stepper(
        slow=lambda now: SLOWER if FROM * span <= now < TO * span else 1.0,
        done=done, steps=steps, slots=slots,
    )  # fmt: skip
    for ask in asks:
        engine.run(ask.came)
        seen = Seen(ask.came, "edge", ask.tag, ask.tokens_in, ask.tokens_out, engine.load, 1.0, 1.0)
        flying[id(ask)] = Scored(seen, *known.promise(seen))
        engine.take(ask, ask.came)
    engine.run(span + 1e6)
    return scored


def _probes(steps: Steps, slots: int) -> list[Seen]:
    """What a few requests take, one after the other on the machine when it is idle."""
    probes: list[Seen] = []
    for tokens_in, tokens_out in QUIET * 2:
        ask = Ask(0.0, "probe", tokens_in, tokens_out, 0.0, confidential=False)
        engine = Stepper(
            slow=lambda _now: 1.0, done=lambda ask, now: setattr(ask, "ended", now),
            steps=steps, slots=slots,
        )  # fmt: skip
        engine.take(ask, 0.0)
        engine.run(1e6)
        probes.append(
            Seen(
                len(probes) - 1000.0, "edge", "probe", tokens_in, tokens_out, 0, 1.0, 1.0,
                ask.first, ask.ended,
            )
        )  # fmt: skip
    return probes
