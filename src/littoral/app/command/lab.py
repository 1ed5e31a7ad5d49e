"""``littoral lab``: a whole fleet on virtual time, repeated by its seed."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, cast

from littoral.app.codec import pack, unpack
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.link.network import LinkNetwork, LinkParts
from littoral.app.system import SystemClock
from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Network
from littoral.lab.fleet import Outcome, Plan, run_fleet
from littoral.lab.nemesis import WEIGHTS
from littoral.lab.wire import Ground, Wire

MOST_EDGES = 10_000
MOST_HOURS = 24.0 * 366
SHOWN_WRONG = 20
ALL, NONE = "all", "none"


def fleet(
    *,
    edges: int = 20,
    hours: float = 24.0,
    seed: int = 1,
    faults: str = ALL,
    trace: Path | None = None,
    reach: Reach = HERE,
) -> int:
    """Simulate control and many edges on virtual time, with faults, and compare all books.

    The same seed gives the same run: the hash of its trace is printed. The exit status is 1 where
    something was lost, doubled or did not converge.

    Args:
        edges: How many edges, 1 to 10000.
        hours: Simulated hours before everything heals.
        seed: Source of every delay, request and fault.
        faults: all, none, or names with commas between them.
        trace: File for every line of the trace.
        reach: Options of every command.
    """
    shown = screen(as_json=reach.json)
    plan = _plan(edges, hours, seed=seed, faults=faults)
    clock = SystemClock()
    began = clock.now()

    def progress(now: float) -> None:
        done, total = int(now / 3600), int(hours)
        if shown.lively and not shown.as_json:
            shown.redraw(shown.say("lab.progress", done=done, total=total))

    with ExitStack() as stack:
        file = stack.enter_context(trace.open("w", encoding="utf-8")) if trace else None

        def tell(line: str) -> None:
            if file is not None:
                file.write(f"{line}\n")

        outcome = run_fleet(plan, WIRE, tell=tell if file else None, progress=progress)
    if shown.lively and not shown.as_json:
        shown.redraw("")
    _told(shown, outcome, took_s=clock.now() - began)
    return 1 if outcome.wrong else 0


def _link(ground: Ground) -> Network:
    """The product's own sessions."""
    return LinkNetwork(
        LinkParts(
            carrier=ground.carrier,
            clock=ground.clock,
            chance=ground.chance,
            entropy=ground.entropy,
            failpoints=ground.failpoints,
            admit=ground.admit,
        )
    )


WIRE: Final = Wire(pack=pack, unpack=unpack, link=_link)
"""How simulated processes speak to each other: as real ones do."""


def _plan(edges: int, hours: float, *, seed: int, faults: str) -> Plan:
    if not 1 <= edges <= MOST_EDGES:
        raise InvalidInput(f"--edges must be 1 to {MOST_EDGES}, not {edges}", param="edges")
    if not 0 < hours <= MOST_HOURS:
        raise InvalidInput(f"--hours must be above 0 and at most {MOST_HOURS:g}", param="hours")
    return Plan(seed=seed, edges=edges, hours=hours, faults=_faults(faults))


def _faults(text: str) -> Mapping[str, float]:
    if text == ALL:
        return WEIGHTS
    if text == NONE:
        return {}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in WEIGHTS:
            known = ", ".join((ALL, NONE, *sorted(WEIGHTS)))
            raise InvalidInput(f"no fault {name!r}; known: {known}", param="faults")
    return {name: WEIGHTS[name] for name in names}


def _told(shown: Screen, outcome: Outcome, *, took_s: float) -> None:
    """Say the result."""
    ratio = round(outcome.virtual_s / max(took_s, 1e-9))
    shown.json({**_document(outcome), "took_s": round(took_s, 2), "times_real": ratio})
    faults = sum(outcome.faults.values())
    say = shown.say
    rows = (
        (say("lab.edges"), f"{outcome.edges}"),
        (say("lab.hours"), f"{outcome.virtual_s / 3600:.1f}"),
        (say("lab.requests"), f"{outcome.answered:,} / {outcome.requests:,}"),
        (say("lab.changes"), f"{outcome.changes:,}"),
        (say("lab.faults"), f"{faults:,}"),
        (say("lab.lives"), f"{outcome.lives:,}"),
        (say("lab.speed"), f"{ratio:,} x"),
        (say("lab.seed"), f"{outcome.seed}"),
        (say("lab.digest"), outcome.digest),
    )
    for name, value in rows:
        shown.line(f"{name}: {value}")
    if outcome.converged_s is not None:
        shown.line(f"{say('lab.converged')}: {outcome.converged_s:.0f} s")
    for wrong in outcome.wrong[:SHOWN_WRONG]:
        shown.line(wrong)
    verdict = "lab.wrong" if outcome.wrong else "lab.well"
    shown.line(shown.say(verdict, count=len(outcome.wrong)))


def _document(outcome: Outcome) -> dict[str, object]:
    told = cast("dict[str, object]", plain(outcome))
    return {key: value for key, value in told.items() if key != "last"}
