"""Standing: whether control can be reached, how long the snapshot still holds, what time it is."""

from collections.abc import Callable
from contextlib import suppress

import anyio

from littoral.domain.errors import StorageFull
from littoral.domain.life import Stage, stage_of
from littoral.domain.session import Reach
from littoral.domain.units import Micros, Seconds
from littoral.node.board import Board
from littoral.node.clock import KEEP_EVERY, FloorClock
from littoral.node.dating import Dating
from littoral.node.snapshot import HeldSnapshot

LOOK_EVERY = Seconds(5.0)
LEAST_SKEW_US = 50_000
"""A smaller difference of clocks is nobody's business."""
_SAID = {
    "half": "half of the time is over for which this node's keys hold without control",
    "late": "nine tenths of the time are over for which this node's keys hold without control",
    "ended": "control was away for too long: only keys that survive still call this node's engines",
}
_DOUBTS = {
    "behind": "the system's clock is below a time that has certainly passed; this node counts on "
    "from there",
    "apart": "the system's clock is not control's; this node goes by control's",
    "jumped": "the system's clock jumped ahead by more than an hour; it is believed in ten "
    "minutes, or when control confirms it",
}


class Standing:
    """Watches what ends with time, and tells gateways and people.

    Args:
        clock: What time it is, as far as that is known.
        held: The snapshot.
        board: Where it is told.
        dating: Remembers what was believed of the time.
        joined: Whether control is on another machine, so that it can be out of reach.
    """

    def __init__(
        self,
        clock: FloorClock,
        held: HeldSnapshot,
        board: Board,
        *,
        dating: Dating,
        joined: bool,
    ) -> None:
        self._clock = clock
        self._held = held
        self._board = board
        self.dating = dating
        self._joined = joined
        self._reached = False
        self.reachable: Callable[[], bool] = lambda: True
        """Whether an open session is heard at its other end, as far as is known."""
        self._stage: Stage = "fresh"
        self._doubt = ""
        self._skew_us = 0

    def met(self, server_us: Micros, took_s: Seconds = Seconds(0.0), *, last: int = 0) -> None:
        """A session with control is open, and this was its time at most ``took_s`` seconds ago.

        A control on this machine has this machine's clock: it cannot say more of it. ``last`` is
        the last number of the ledger, asked for when a session begins.
        """
        self._reached, wrong_us = True, 0
        if self._joined:
            self.dating.look()
            with suppress(StorageFull):
                self._clock.meet(server_us, took_s)
            wrong_us = self.dating.met(last)
        self.look()
        self._say_wrong(wrong_us)

    def lost(self) -> None:
        """The session has ended."""
        self._reached = False
        self.look()

    async def run(self, pace: float = 1.0) -> None:
        """Look from time to time, ``pace`` times less often, and keep the floor of the clock."""
        kept = self._clock.now()
        with suppress(StorageFull):
            self._clock.keep()
        while True:
            self.look()
            if self._clock.now() - kept >= KEEP_EVERY:
                kept = self._clock.now()
                with suppress(StorageFull):
                    self._clock.keep()
            await anyio.sleep(LOOK_EVERY * pace)

    def look(self) -> None:
        """See how things stand now."""
        snapshot = self._held.snapshot
        if snapshot is not None:
            self._clock.passed(snapshot.issued_us)
        wall, skew = self._clock.wall(), self._clock.skew_us()
        self._skew_us = skew if abs(skew - self._skew_us) > LEAST_SKEW_US else self._skew_us
        self._say_doubt()
        if self._joined:
            self.dating.look()
        stage: Stage = "fresh"
        if snapshot is not None:
            issued, until = snapshot.issued_us, snapshot.not_after_us
            stage = stage_of(wall, issued_us=issued, not_after_us=until)
        self._say_stage(stage)
        reach = Reach(
            offline=self._joined and not (self._reached and self.reachable()),
            ended=stage == "ended",
            skew_us=self._skew_us if abs(self._skew_us) > LEAST_SKEW_US else 0,
        )
        self._board.put_reach(reach)

    def _say_wrong(self, by_us: int) -> None:
        if by_us:
            wrong = f"the clock of this node was {abs(by_us) / 1e6:.0f} s "
            wrong += "behind" if by_us > 0 else "ahead"
            text = f"{wrong}: usage records that control lacks are dated anew"
            self._board.say("clock", "clock_corrected", text)

    def _say_doubt(self) -> None:
        doubt = self._clock.doubt
        if doubt != self._doubt:
            self._doubt = doubt
            self._board.put_trouble("clock", _DOUBTS[doubt] if doubt else "")
            if doubt:
                self._board.say("clock", "clock_suspect", _DOUBTS[doubt], level="warning")
            else:
                self._board.say("clock", "clock_good", "the system's clock is believed again")

    def _say_stage(self, stage: Stage) -> None:
        before, self._stage = self._stage, stage
        if stage == before:
            return
        self._board.put_trouble("snapshot", "" if stage == "fresh" else _SAID[stage])
        if stage == "fresh":
            self._board.say("snapshot", "snapshot_extended", "this node's keys hold again")
        elif stage == "ended":
            self._board.say("snapshot", "policy_expired", _SAID[stage], level="error")
        else:
            self._board.say("snapshot", "snapshot_ageing", _SAID[stage], level="warning")
