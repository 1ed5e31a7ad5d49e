"""Learning: each request's outcome teaches its endpoint's predictor; folds go to the gateway."""

from collections import deque
from collections.abc import Callable, Sequence

import anyio

from littoral.cost.predictor import Outcome, Predictor, fold, fresh, observe
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.units import Seconds
from littoral.domain.usage import CACHE, UsageRecord
from littoral.node.board import Board
from littoral.node.signal import Signal

EVERY = Seconds(0.25)
SAMPLE = 64
"""Most outcomes learned from at one time: at thousands a second a sample is as good as all."""
REMEMBERED = 256
"""Finished requests kept to know who was served beside whom."""
MICRO = 1e-6


class Learning:
    """The predictors of this node's endpoints.

    Args:
        board: Where folds go, and where an endpoint's slots are found.
        open_now: What requests under way have used until now.
    """

    def __init__(self, board: Board, *, open_now: Callable[[], Sequence[UsageRecord]]) -> None:
        self._board = board
        self._open_now = open_now
        self._predictors: dict[EndpointId, Predictor] = {}
        self._fresh: deque[UsageRecord] = deque(maxlen=SAMPLE)
        self._recent: deque[UsageRecord] = deque(maxlen=REMEMBERED)
        self._version = 0
        self._arrived = Signal()

    def take(self, records: Sequence[UsageRecord]) -> None:
        """Take finished requests; what is too much is left out."""
        useful = [
            each
            for each in records
            if each.status in {"ok", "cancelled"} and each.endpoint != CACHE
        ]
        self._fresh.extend(useful)
        self._recent.extend(useful)
        if useful:
            self._arrived.notify()

    async def run(self) -> None:
        """Learn and fold, at most every 250 ms, until cancelled."""
        while True:
            if not self._fresh:
                await self._arrived.wait()
            self._board.put_folds(self._learned())
            await anyio.sleep(EVERY)

    def _learned(self) -> list[Folded]:
        beside = [*self._recent, *self._open_now()]
        touched: dict[EndpointId, None] = {}
        while self._fresh:
            record = self._fresh.popleft()
            known = self._predictors.get(record.endpoint) or fresh(record.endpoint)
            outcome = outcome_of(record, beside=beside, slots=self._board.slots_of(record.endpoint))
            self._predictors[record.endpoint] = observe(known, outcome)
            touched[record.endpoint] = None
        self._version += 1
        return [fold(self._predictors[each], version=self._version) for each in touched]


def outcome_of(record: UsageRecord, *, beside: Sequence[UsageRecord], slots: int) -> Outcome:
    """Read a finished request as an outcome.

    Args:
        record: The request.
        beside: Requests, itself included, that may have been under way when it came; one with
            ``total_us`` 0 still is.
        slots: How many its endpoint serves at once.
    """
    active = sum(
        1
        for each in beside
        if each.endpoint == record.endpoint
        and each.at_us <= record.at_us
        and (each.total_us == 0 or record.at_us < each.at_us + each.total_us)
    )
    return Outcome(
        tokens_in=record.tokens_in,
        tokens_cached=record.tokens_cached,
        tokens_out=record.tokens_out,
        active=max(0, active - 1),
        slots=slots,
        first_s=record.first_us * MICRO if record.streamed and record.first_us else None,
        total_s=record.total_us * MICRO,
        predicted_p90_s=record.predicted_p90_us * MICRO,
        censored=record.status == "cancelled",
    )
