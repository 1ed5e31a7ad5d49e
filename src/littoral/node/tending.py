"""Tending: everything that looks after a node itself, put together: upkeep, renewal, probes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio

from littoral.domain.enrolment import Inventory
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import Digest, EndpointId, NodeId
from littoral.domain.link import LinkFacts
from littoral.domain.node import Level, Link, Reading
from littoral.domain.ports import Blobs, Chance, Clock, Disk, Failpoints, Network
from littoral.domain.release import Versions
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.node.artefact import Artefacts
from littoral.node.board import Board
from littoral.node.converge import Converger
from littoral.node.counter import counter
from littoral.node.errand import ErrandParts, Errands
from littoral.node.golden import Answer, Golden, GoldenParts
from littoral.node.identity import IdentityStore
from littoral.node.probing import Probe, Probing, ProbingParts
from littoral.node.renewal import Joined, Renewal, RenewalParts
from littoral.node.start import UNKNOWN, Origin
from littoral.node.sweep import Sweep, SweepParts
from littoral.node.update import Locate, UpdateParts, Updates
from littoral.node.upkeep import Upkeep

LINK_EVERY = Seconds(30.0)
"""How often the way to control is looked at."""

_LEVELS: Mapping[str, Level] = {
    "certificate_refused": "warning",
    "certificate_ending": "warning",
    "certificate_ended": "error",
}
"""Codes that say that something is wrong with the certificate."""


class Line(Protocol):
    """The session with control, as far as it concerns this."""

    async def send(self, frame: Frame) -> bool:
        """Send control a frame; False where there is no session."""
        ...

    def standing(self) -> tuple[bool, str]:
        """Whether control is connected, and why not."""
        ...

    def link(self) -> LinkFacts | None:
        """What was measured of the way to control."""
        ...

    def hurry(self) -> None:
        """Try at once, where a try is waited for."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a node is looked after with: from the app.

    ``inventory`` reads what this machine is; ``tail`` gives the last lines of a process's log;
    ``probe`` asks an engine, and ``answer`` a golden item; ``joined`` is what a node that joined
    keeps its certificate with; ``here`` is where people on this machine ask for errands, without
    control; ``sensors`` reads heat, memory, disk and load; ``origin`` is what this run is part of.
    """

    inventory: Callable[[], Inventory]
    tail: Callable[[str, int], str]
    probe: Probe
    answer: Answer
    joined: Joined | None = None
    here: tuple[Network, str] | None = None
    sensors: Callable[[], Reading] = Reading
    origin: Origin = UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class TendingParts:
    """What tending needs; ``under_way`` counts requests that are being answered here.

    ``busy`` counts those of an endpoint. ``keys`` may sign orders; ``locate`` brings wheels here;
    ``serving`` is whether gateways answer.
    """

    node: NodeId
    versions: Versions | None
    keys: Callable[[], Mapping[str, bytes]]
    locate: Locate
    artefacts: Artefacts | None
    serving: Callable[[], bool]
    tools: Tools
    board: Board
    converger: Converger
    blobs: Blobs
    disk: Disk
    clock: Clock
    machine: Clock
    chance: Chance
    failpoints: Failpoints
    under_way: Callable[[], int]
    busy: Callable[[EndpointId], int]


class Tending:
    """Looks after a node.

    Args:
        parts: The world.
    """

    def __init__(self, parts: TendingParts) -> None:
        self._parts = parts
        self._line: Line | None = None
        self._probing = Probing(
            ProbingParts(
                board=parts.board,
                clock=parts.clock,
                probe=parts.tools.probe,
                under_way=parts.under_way,
                asking=lambda: self._golden.asking,
            )
        )
        self._golden = Golden(
            GoldenParts(
                board=parts.board,
                answer=parts.tools.answer,
                busy=parts.busy,
                quiet=lambda: not self._probing.measuring,
            )
        )
        joined = parts.tools.joined
        errands = Errands(self._errand_parts())
        self.upkeep = Upkeep(
            errands,
            None if joined is None else self._renewal(joined),
            board=parts.board,
            disk=parts.disk,
            clock=parts.clock,
        )

        self._errands = errands
        self.sweep = None if parts.artefacts is None else self._sweep(parts.artefacts)
        self.updates = None if parts.versions is None else self._updates(parts.versions)

    def hear(self, frame: Frame) -> bool:
        """Take a frame that concerns the node itself; False where it does not."""
        if self.updates is not None and self.updates.take(frame):
            return True
        return self.upkeep.take(frame)

    async def run(self, line: Line, pace: float = 1.0) -> None:
        """Look after the node until cancelled; at the way to control ``pace`` times less often.

        Raises:
            Revoked: It is a node no longer.
        """
        self._line = line
        self._parts.board.inventory = self._parts.tools.inventory()
        async with anyio.create_task_group() as group:
            group.start_soon(self._probing.run)
            group.start_soon(self._golden.run, line.send)
            group.start_soon(self.upkeep.run, line.send, line.standing)
            group.start_soon(self._measure, line, pace)
            if (here := self._parts.tools.here) is not None:
                group.start_soon(counter, self._errands, *here)
            if self.sweep is not None:
                group.start_soon(self.sweep.run)
            if self.updates is not None:
                group.start_soon(self.updates.run, line.send, line.standing)

    async def _measure(self, line: Line, pace: float) -> None:
        """Show how good the way to control is, in steps so coarse that beats stay small."""
        looks = good = 0
        while True:
            await anyio.sleep(LINK_EVERY * pace)
            looks, good = looks + 1, good + line.standing()[0]
            facts = line.link()
            self._parts.board.put_link(
                Link(
                    rtt_s=Seconds(0.0 if facts is None else round(facts.rtt_s, 2)),
                    goodput=0.0 if facts is None else float(f"{facts.goodput:.1g}"),
                    availability=round(good / looks, 2),
                )
            )

    def _say(self, code: str, sentence: str) -> None:
        """Show what is wrong with the certificate, and tell what is news of it."""
        board, level = self._parts.board, _LEVELS.get(code, "info")
        news = board.put_trouble("certificate", sentence if level != "info" else "")
        if news or code == "certificate_renewed_late":
            board.say("certificate", code, sentence, level=level)
        if level == "info" and self._line is not None:
            self._line.hurry()

    async def _send(self, frame: Frame) -> bool:
        return self._line is not None and await self._line.send(frame)

    def _sweep(self, artefacts: Artefacts) -> Sweep:
        parts = self._parts
        return Sweep(
            SweepParts(
                parts=artefacts.parts,
                disk=parts.disk,
                clock=parts.clock,
                board=parts.board,
                wanted=self._blobs,
                under_way=lambda: artefacts.under_way,
            )
        )

    def _blobs(self) -> frozenset[Digest] | None:
        """Every blob that something here refers to; None where no snapshot says what is wanted."""
        if self._parts.board.snapshot is None:
            return None
        wheels: frozenset[Digest] = frozenset() if self.updates is None else self.updates.wheels
        return self._parts.converger.blobs() | wheels

    def _updates(self, versions: Versions) -> Updates:
        parts = self._parts
        return Updates(
            UpdateParts(
                node=parts.node,
                versions=versions,
                disk=parts.disk,
                clock=parts.clock,
                board=parts.board,
                keys=parts.keys,
                locate=parts.locate,
                serving=parts.serving,
            )
        )

    def _errand_parts(self) -> ErrandParts:
        parts = self._parts
        return ErrandParts(
            converger=parts.converger,
            blobs=parts.blobs,
            under_way=parts.under_way,
            tail=parts.tools.tail,
            probe=self._probing.again,
            undo_update=self._undo_update,
        )

    async def _undo_update(self) -> str:
        """Go back to the version of Littoral before this one. Raises ``InvalidInput``."""
        if self.updates is None:
            raise InvalidInput(
                "Littoral here goes with its control plane, and is updated by hand with it"
            )
        return await self.updates.back()

    def _renewal(self, joined: Joined) -> Renewal:
        parts = self._parts
        send: Callable[[Frame], Awaitable[bool]] = self._send
        return Renewal(
            joined.credentials,
            RenewalParts(
                store=IdentityStore(parts.disk, parts.failpoints),
                disk=parts.disk,
                registrar=joined.registrar,
                clock=parts.clock,
                chance=parts.chance,
                entropy=joined.entropy,
                send=send,
                say=self._say,
            ),
        )
