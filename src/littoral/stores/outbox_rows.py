"""What an outbox file is asked to do: append, read, forget, each on the thread that owns it."""

import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import apsw

from littoral.domain.errors import StorageFull
from littoral.domain.limits import Spent
from littoral.domain.outbox import LEDGER_HIGH, Batch, Lane, Mark, OutboxLevel
from littoral.domain.units import Bytes
from littoral.stores import retention, spending
from littoral.stores.body import Prepared
from littoral.stores.outbox_file import OutboxFile, Tuning, World
from littoral.stores.outbox_lane import Lanes, RowsMissing
from littoral.stores.sqlite import run

LOOK_US = 60_000_000
"""How often rows are looked for that are old enough to go, microseconds."""


class OutboxRows:
    """The rows of one open outbox file.

    Args:
        file: Where they are.
        path: Of the file.
        world: The ports.
        tuning: Quota, and how long what is stored stays.
    """

    def __init__(self, file: OutboxFile, path: str, *, world: World, tuning: Tuning) -> None:
        self._file = file
        self._folder = Path(path).parent
        self._world = world
        self._tuning = tuning
        self._looked_us = 0
        self._alarmed = False

    @property
    def _lanes(self) -> Lanes:
        self._file.connection()  # opened anew where it had to be closed
        return self._file.lanes

    def append(self, groups: Sequence[Sequence[Prepared]]) -> list[int]:
        """Write all groups in one synced transaction; returns the ledger's last number after each.

        Raises:
            LedgerFull: The ledger's share of the quota is taken by records that are not stored.
            StorageFull: One row is larger than its lane may be.
        """
        connection = self._file.connection()
        ends: list[int] = []

        def insert() -> None:
            self._world.failpoints.hit("outbox.begin")
            self._lanes.make_room([row for group in groups for row in group])
            ends.extend(self._insert(connection, groups))

        self._lanes.transact(insert)
        self._world.failpoints.hit("outbox.committed")
        self._alarm()
        return ends

    def read(self, lane: Lane, after: int, limit: int) -> Batch:
        """Rows of a lane with numbers above ``after``, in order."""
        try:
            return self._lanes.read(lane, after, limit)
        except RowsMissing as error:
            self._file.renumber()
            gone = f"{error}: what is there goes on under a new name"
            self._file.tell("outbox.rows_missing", gone)
            return Batch(lane=lane)

    def level(self) -> OutboxLevel:
        """How full it is."""
        return OutboxLevel(lanes=self._lanes.levels(), device_bytes=Bytes(self._file.device))

    def spent(self) -> list[Spent]:
        """What all records ever appended cost, by limit id and hour."""
        return spending.read(self._file.connection())

    def stored(self, lane: Lane, mark: Mark, safe: int) -> None:
        """Control has a lane up to ``mark``, and ``safe`` of it elsewhere too; drop what may go.

        Where control knows other rows than this file, the disk was restored or copied: under the
        old name new rows would be taken for known ones, so a new one begins. So it does where
        control, itself restored, lacks usage records that are not here any more.
        """
        state = self._lanes[lane]
        why = self._disagreement(lane, mark)
        if why is not None:
            self._file.renumber()
            self._file.tell(*why)
            return
        if mark.seq > state.stored or safe > state.safe:
            self._lanes.transact(lambda: self._note(lane, mark.seq, safe))
        self._release(lane)

    def _note(self, lane: Lane, stored: int, safe: int) -> None:
        """Write down what control has; where few rows go for it, delete them in the same sync."""
        state = self._lanes[lane]
        state.stored = max(state.stored, stored)
        state.safe = max(state.safe, min(safe, state.stored))
        retention.note(self._file.connection(), state, self._world.clock.wall())
        if lane == "ledger" or state.stored - state.base > self._file.chunk:
            self._lanes.save(state)
        else:
            self._lanes.release(lane, state.stored)

    def _disagreement(self, lane: Lane, mark: Mark) -> tuple[str, str] | None:
        state = self._lanes[lane]
        if mark.seq > state.last:
            known = f"{mark.seq} rows of lane {lane} are stored, only {state.last} were numbered"
            return "outbox.forked", f"{known}: the rest is sent under a new name"
        own = self._lanes.mac_at(lane, mark.seq)
        if mark.mac and own and mark.mac != own:
            known = f"control has another row {mark.seq} of lane {lane}"
            return "outbox.forked", f"{known}: this disk, or its node, was copied or restored"
        if lane == "ledger" and mark.seq < state.base:
            known = f"control has usage records up to {mark.seq}, here are those from {state.base}"
            return "outbox.behind", f"{known} on: the rest is sent under a new name"
        return None

    def _release(self, lane: Lane) -> None:
        """Delete what control has, in chunks; usage records stay for as long as they are kept."""
        state = self._lanes[lane]
        upto = state.stored
        if lane == "ledger":
            before = self._world.clock.wall() - int(self._tuning.kept_s * 1e6)
            upto = max(state.safe, retention.older(self._file.connection(), state, before))
        while self._lanes[lane].base < upto:
            chunk = min(upto, self._lanes[lane].base + self._file.chunk)
            self._lanes.transact(lambda chunk=chunk: self._lanes.release(lane, chunk))
            self._world.failpoints.hit("rows.deleted")
            self._file.tend()

    def check_room(self, rows: Sequence[Prepared]) -> None:
        """See that rows may be accepted; samples and metrics leave some of the disk to others.

        Raises:
            StorageFull: They may not; nothing was written.
        """
        spared = any(row.lane in {"sample", "metric"} for row in rows)
        if spared and self._free_share() < self._tuning.spare:
            raise StorageFull("the disk is too full for samples and metrics")
        if not self._file.has_room():
            self._file.make_room()
            if not self._file.has_room():
                raise StorageFull("no room on the disk for the outbox; nothing was written")

    def _free_share(self) -> float:
        figures = os.statvfs(self._folder)
        return figures.f_bavail / max(1, figures.f_blocks)

    def tend(self) -> None:
        """Checkpoint and drop what is old, when it is time; called after the waiters woke."""
        self._file.tend()
        now = self._world.clock.wall()
        if self._file.is_open and abs(now - self._looked_us) >= LOOK_US:
            self._looked_us = now
            connection, state = self._file.connection(), self._lanes["ledger"]
            self._lanes.transact(lambda: retention.note(connection, state, now))
            self._release("ledger")

    def _insert(
        self, connection: apsw.Connection, groups: Sequence[Sequence[Prepared]]
    ) -> list[int]:
        """Insert all in one go; where one is known already, number the others one by one.

        Any other error may have ended the transaction, and the savepoint with it.
        """
        run(connection, "savepoint batch")
        rows = [row for group in groups for row in group]
        try:
            before = self._lanes["ledger"].last
            new = self._lanes.write(rows, singly=False)
            counts = [sum(row.usage is not None for row in group) for group in groups]
            ends = [before + end for end in accumulate(counts)]
        except apsw.ConstraintError:
            run(connection, "rollback to batch")
            new, ends = self._insert_singly(groups)
        spending.add(connection, [row.usage for row in new if row.usage is not None])
        run(connection, "release batch")
        return ends

    def _insert_singly(
        self, groups: Sequence[Sequence[Prepared]]
    ) -> tuple[list[Prepared], list[int]]:
        new: list[Prepared] = []
        ends: list[int] = []
        for group in groups:
            new += self._lanes.write(group, singly=True)
            ends.append(self._lanes["ledger"].last)
        return new, ends

    def _alarm(self) -> None:
        """Say once that the ledger lane fills, and again only after it had emptied."""
        share = self._lanes.levels()["ledger"].owed
        if share < LEDGER_HIGH - 0.05:
            self._alarmed = False
        elif share >= LEDGER_HIGH and not self._alarmed:
            self._alarmed = True
            full = f"usage records fill {share:.0%} of what they may: control must be reached"
            self._file.tell("outbox.ledger_high", full, level="warning")
