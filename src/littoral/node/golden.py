"""Golden: asks both versions of a deployment what is known to be right, and tells how they did.

One question at a time, and only while its engine has a slot to spare. What was found is kept in
memory alone: a node that starts again asks again, until control has all that it wants.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import anyio

from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import LittoralError
from littoral.domain.ids import EndpointId
from littoral.domain.node import Level
from littoral.domain.rollout import NEXT, Exam, ExamScores, GoldenItem
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.placement.golden import lost, score

Answer: TypeAlias = Callable[[Endpoint, GoldenItem], Awaitable[str]]
"""Asks an engine an item, and returns its answer. Raises ``UpstreamFailed``."""
WITHIN: Final = Seconds(120.0)
"""An answer that takes longer is none."""
LOOK: Final = Seconds(0.5)
AGAIN: Final = Seconds(10.0)
"""How often control is told what it has not taken yet."""
TRIES: Final = 2
EACH: Final = 10
"""Items between two reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenParts:
    """What asking needs.

    ``busy`` counts requests that an endpoint answers now; ``quiet`` says whether nothing that
    must be measured alone is.
    """

    board: Board
    answer: Answer
    busy: Callable[[EndpointId], int]
    quiet: Callable[[], bool]


@dataclass(slots=True)
class _Found:
    """Scores of the first items, for both versions."""

    old: list[float] = field(default_factory=list[float])
    new: list[float] = field(default_factory=list[float])
    failed: int = 0
    """Questions that got no answer."""
    began: bool = False
    ended: bool = False

    def frame(self, exam: Exam) -> ExamScores:
        """As control is told."""
        old, new = tuple(self.old), tuple(self.new)
        return ExamScores(deployment=exam.deployment, run=exam.run, old=old, new=new)


class Golden:
    """Sits the exams of this node's snapshot, one after the other.

    Args:
        parts: The world.
    """

    def __init__(self, parts: GoldenParts) -> None:
        self._parts = parts
        self._found: dict[str, _Found] = {}
        self.asking = 0
        """Questions that are being answered now."""

    async def run(self, send: Callable[[Frame], Awaitable[bool]]) -> None:
        """Ask and tell, until cancelled.

        Args:
            send: Tells control; what it does not take is told again.
        """
        while True:
            exams = self._exams()
            wanted = {each.run for each in exams}
            self._found = {run: each for run, each in self._found.items() if run in wanted}
            for exam in exams:
                await self._sit(exam, send)
            if exams:
                await anyio.sleep(AGAIN)
            elif not self._exams():
                await self._parts.board.changed.wait()

    def _exams(self) -> tuple[Exam, ...]:
        snapshot = self._parts.board.snapshot
        return () if snapshot is None else snapshot.exams

    async def _sit(self, exam: Exam, send: Callable[[Frame], Awaitable[bool]]) -> None:
        """Ask what is left of an exam, and tell all that was found."""
        found = self._found.setdefault(exam.run, _Found())
        while len(found.new) < len(exam.items):
            item = exam.items[len(found.new)]
            new = await self._scored(exam, exam.deployment + NEXT, item)
            old = None if new is None else await self._scored(exam, exam.deployment, item)
            if old is None or new is None:
                break
            found.old.append(old)
            found.new.append(new)
            if len(found.new) % EACH == 0:
                await send(found.frame(exam))
        self._ended(exam, found)
        await send(found.frame(exam))

    async def _scored(self, exam: Exam, name: str, item: GoldenItem) -> float | None:
        """An item's score at one version, 0 where it fails twice; None where none is wanted."""
        for _ in range(TRIES):
            endpoint = await self._room(exam, name)
            if endpoint is None:
                return None
            self._began(exam)
            answer = await self._answer(endpoint, item)
            if answer is not None:
                return score(item, answer)
            await anyio.sleep(LOOK)
        self._found[exam.run].failed += 1
        return 0.0

    async def _answer(self, endpoint: Endpoint, item: GoldenItem) -> str | None:
        self.asking += 1
        try:
            with anyio.fail_after(WITHIN):
                return await self._parts.answer(endpoint, item)
        except (LittoralError, TimeoutError):
            return None
        finally:
            self.asking -= 1

    async def _room(self, exam: Exam, name: str) -> Endpoint | None:
        """Wait for a slot to spare at a version's engine; None once the exam is not wanted."""
        while any(each.run == exam.run for each in self._exams()):
            for each in self._parts.board.own:
                ready = each.deployment == name and each.state == "ready" and not each.remote
                if ready and self._parts.quiet() and self._parts.busy(each.id) < each.slots:
                    return each
            await anyio.sleep(LOOK)
        return None

    def _began(self, exam: Exam) -> None:
        found = self._found[exam.run]
        if not found.began:
            found.began = True
            text = f"both versions of {exam.deployment} are asked {len(exam.items)} golden items"
            self._parts.board.say(f"deployment/{exam.deployment}", "rollout_scoring", text)

    def _ended(self, exam: Exam, found: _Found) -> None:
        """Say how both did, once; also of items that nobody wants any more."""
        if found.ended or not found.began:
            return
        found.ended = True
        done, points = len(found.new), lost(found.old, found.new)
        text = (
            f"{exam.deployment}: {done} of {len(exam.items)} golden items are scored, "
            f"the old version knows {sum(found.old):.0f}, the new one {sum(found.new):.0f}: "
            f"{points:.1f} points are lost; {found.failed} questions got no answer"
        )
        level: Level = "warning" if found.failed else "info"
        self._parts.board.say(f"deployment/{exam.deployment}", "rollout_scored", text, level=level)
