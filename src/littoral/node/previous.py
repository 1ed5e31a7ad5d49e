"""Previous: what each deployment served before what it serves now, so that a node can go back.

It is on disk, so it survives restarts, and needs neither control nor a download.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from littoral.domain.deployment import Assignment
from littoral.domain.errors import Damaged, InvalidInput, StorageFull
from littoral.domain.ids import DeploymentName, Digest
from littoral.domain.node import Level
from littoral.domain.ports import Clock, Disk, Failpoints
from littoral.domain.units import Micros
from littoral.node.board import Board

KEPT: Final = "slots.json"
KEEP_US: Final = 24 * 3600 * 1_000_000
"""How long the artefact of what served before stays on disk after it was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both slots of a deployment: what served last, and what served before it.

    ``since_us`` is when the present one took over. ``refused`` is a revision that this node was
    told to serve and left again: it serves what is in ``current`` in its place.
    """

    current: Assignment
    previous: Assignment | None = None
    since_us: Micros = Micros(0)
    refused: int = 0


class Previous:
    """The slots of every deployment.

    Args:
        disk: Where they are kept.
        clock: Dates them.
        board: Is told of each switch.
        failpoints: ``slot.switched`` stands behind the note that another version serves.
    """

    def __init__(self, disk: Disk, clock: Clock, *, board: Board, failpoints: Failpoints) -> None:
        self._disk = disk
        self._clock = clock
        self._board = board
        self._failpoints = failpoints
        self._pairs: dict[DeploymentName, Pair] = {}
        with suppress(msgspec.DecodeError):
            self._pairs = _kept(disk)

    def chosen(self, desired: Sequence[Assignment]) -> tuple[Assignment, ...]:
        """What to run, given what control wants: what was left here is not run again."""
        return tuple(self._in_place_of(each) for each in desired)

    def proven(self, desired: Sequence[Assignment]) -> tuple[Assignment, ...]:
        """What to begin with after a restart: of each deployment the version that served last."""
        found = {each.name: self._pairs.get(each.name) for each in desired}
        return tuple(
            each if (pair := found[each.name]) is None or same(pair.current, each) else pair.current
            for each in self.chosen(desired)
        )

    def served(self, assignment: Assignment) -> None:
        """An engine of this assignment is ready."""
        pair = self._pairs.get(assignment.name)
        if pair is None or same(pair.current, assignment):
            if pair is None or pair.current != assignment:
                kept = Pair(current=assignment) if pair is None else pair
                self._put(assignment.name, replace(kept, current=assignment))
            return
        before = pair.current
        refused = pair.refused
        now = self._clock.wall()
        pair = Pair(current=assignment, previous=before, since_us=now, refused=refused)
        self._put(assignment.name, pair)
        self._failpoints.hit("slot.switched")
        text = f"{assignment.name}: {_said(assignment)} serves in place of {_said(before)}"
        self._say(assignment.name, "slot_switched", text, level="info")

    def undo(self, name: DeploymentName, *, running: Assignment, why: str) -> None:
        """Leave what a deployment runs for what served before it.

        Args:
            name: The deployment.
            running: What it runs, or tries to.
            why: For people.

        Raises:
            InvalidInput: Nothing served before.
        """
        pair = self._pairs.get(name)
        back = None if pair is None else self._before(pair, running)
        if pair is None or back is None:
            raise InvalidInput(f"deployment: no other version of {name!r} served here before")
        self._put(
            name,
            Pair(
                current=back,
                previous=running,
                since_us=self._clock.wall(),
                refused=running.revision,
            ),
        )
        self._failpoints.hit("slot.switched")
        text = f"{name}: {_said(running)} is left for {_said(back)}: {why}"
        self._say(name, "slot_undone", text, level="warning")

    def can_undo(self, running: Assignment) -> bool:
        """Whether something served before this, and may do so again."""
        pair = self._pairs.get(running.name)
        return pair is not None and self._before(pair, running) is not None

    def digests(self) -> frozenset[Digest]:
        """Blobs of what serves, and of what served before until a day ago."""
        return frozenset(_digests(self._pairs.values(), self._clock.wall()))

    def _before(self, pair: Pair, running: Assignment) -> Assignment | None:
        """What to go back to from what runs: what served last, where that is another."""
        return pair.previous if same(pair.current, running) else pair.current

    def _in_place_of(self, wanted: Assignment) -> Assignment:
        pair = self._pairs.get(wanted.name)
        if pair is None or pair.refused != wanted.revision:
            return wanted
        return pair.current

    def _put(self, name: DeploymentName, pair: Pair) -> None:
        self._pairs[name] = pair
        with suppress(StorageFull):  # it is in memory, and written with the next change
            self._disk.write(KEPT, msgspec.json.encode(self._pairs))

    def _say(self, name: DeploymentName, code: str, text: str, *, level: Level) -> None:
        self._board.say(f"deployment/{name}", code, text, level=level)


def kept_beside(disk: Disk, now: Micros) -> frozenset[Digest]:
    """Blobs of the slots of a node that keeps its files here, for whoever shares its blobs.

    Raises:
        Damaged: The file cannot be read, so that nobody knows.
    """
    try:
        return frozenset(_digests(_kept(disk).values(), now))
    except msgspec.DecodeError as error:
        raise Damaged(f"{KEPT} cannot be read: {error}") from error


def _kept(disk: Disk) -> dict[DeploymentName, Pair]:
    return msgspec.json.decode(disk.read(KEPT) or b"{}", type=dict[DeploymentName, Pair])


def _digests(pairs: Iterable[Pair], now: Micros) -> Iterator[Digest]:
    for pair in pairs:
        yield from blobs_of(pair.current)
        if pair.previous is not None and now - pair.since_us < KEEP_US:
            yield from blobs_of(pair.previous)


def same(one: Assignment, other: Assignment) -> bool:
    """Whether two assignments run the same thing: prices and shares do not count."""
    return _bare(one) == _bare(other)


def _bare(each: Assignment) -> Assignment:
    return replace(each, revision=0, share=None, price_in=0.0, price_out=0.0, first_token_ms=None)


def _said(each: Assignment) -> str:
    return f"{each.model} (revision {each.revision})"


def blobs_of(each: Assignment) -> Iterator[Digest]:
    """The blobs that an assignment needs."""
    if each.artefact is not None:
        yield each.artefact.digest
        for file in each.artefact.files:
            yield file.digest
