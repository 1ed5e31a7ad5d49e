"""Link: frames between this gateway and its node, over an inherited pair of sockets."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from littoral.domain.errors import LittoralError
from littoral.domain.session import (
    Carry,
    Credit,
    Data,
    Endpoints,
    Fence,
    Folds,
    Frame,
    Freed,
    Open,
    Pulse,
    Quit,
    Reach,
    Recording,
    Reset,
    Run,
    Settled,
    Tables,
)
from littoral.domain.units import Seconds
from littoral.gateway.wire.auditing import Auditor
from littoral.gateway.wire.carrier import Carriers
from littoral.gateway.wire.guest import Guests
from littoral.gateway.wire.runs import Runs
from littoral.gateway.wire.worker import Worker

MAX_FRAME: Final = 16 * 1024 * 1024
_PREFIX: Final = 4


class Link(asyncio.Protocol):
    """The node's end tells what to serve; this end tells what was used.

    Args:
        worker: Whose tables and slots these are.
        pack: Frame to bytes.
        unpack: Bytes to frame; raises a ``LittoralError`` on damage.
        changed: Called after each new snapshot.
        lost: Called once when the node is gone.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        pack: Callable[[Frame], bytes],
        unpack: Callable[[bytes], Frame],
        changed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._pack = pack
        self._unpack = unpack
        self._changed = changed
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._runs = Runs(worker, self.send)
        self._carriers = Carriers(worker, self.send)
        self._guests = Guests(worker, self.send)
        self._pulses = self._fence = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to report."""
        self._transport = cast("asyncio.Transport", transport)
        self._worker.report = self.report
        self._worker.shelf.send = self.send
        self._worker.calls.send = self.send
        self._worker.audit = Auditor(self._worker, self.send)

    def data_received(self, data: bytes) -> None:
        """Take every whole frame."""
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= _PREFIX:
            size = int.from_bytes(buffer[at : at + _PREFIX], "big")
            if size > MAX_FRAME:
                self._break()
                return
            if len(buffer) - at - _PREFIX < size:
                break
            start = at + _PREFIX
            try:
                self._take(self._unpack(bytes(buffer[start : start + size])))
            except LittoralError:
                self._break()
                return
            at = start + size
        del buffer[:at]

    def connection_lost(self, exc: Exception | None) -> None:
        """The node is gone."""
        del exc
        self._transport = None
        self._worker.linked = False
        self._worker.shelf.lost()
        self._lost()

    def _take(self, frame: Frame) -> None:
        source = self._worker.source
        if isinstance(frame, Freed):
            self._worker.flights.free(frame.slots)
        elif isinstance(frame, Folds):
            source.take_folds(frame.folds, frame.lengths)
        elif isinstance(frame, Endpoints):
            source.take_endpoints(frame.endpoints, frame.loads)
        elif isinstance(frame, Reach | Fence | Recording):
            self._take_standing(frame)
        elif isinstance(frame, Tables):
            source.take_snapshot(frame.snapshot, frame.rows)
            self._changed()
            self.pulse()
        elif isinstance(frame, Carry) or (isinstance(frame, Quit) and frame.run < 0):
            self._carriers.take(frame)
        elif isinstance(frame, Run | Quit):
            self._runs.take(frame)
        elif isinstance(frame, Open | Data | Reset | Credit):
            self._take_call(frame)
        else:
            try:
                self._worker.shelf.take(frame)
            except Exception as error:  # noqa: BLE001  one answer fails, not the link to the node
                self._worker.fault(error)

    def _take_standing(self, frame: Reach | Fence | Recording) -> None:
        if isinstance(frame, Fence):
            self._fence = frame.number
            self.pulse()
        elif isinstance(frame, Recording):
            self._worker.recording = frame
        else:
            self._worker.take_reach(frame)
            self._changed()

    def _take_call(self, frame: Open | Data | Reset | Credit) -> None:
        """Odd numbers are of the streams that we opened, even ones of those that our node did."""
        if isinstance(frame, Open) or not frame.stream % 2:
            self._guests.take(frame)
            return
        try:
            self._worker.calls.take(frame)
        except Exception as error:  # noqa: BLE001  one call fails, not the link to the node
            self._worker.fault(error)

    def report(self) -> None:
        """Name the slots settled since the last report."""
        self.send(Settled(slots=self._worker.flights.report()))

    def pulse(self) -> None:
        """Give a sign of life."""
        worker = self._worker
        self._pulses += 1
        frame = Pulse(
            number=self._pulses,
            connections=len(worker.clients),
            in_flight=worker.in_flight,
            lag_s=Seconds(worker.lag_s),
            counters=dict(worker.counters),
            serves=worker.source.serves,
            fence=self._fence,
        )
        self.send(frame)

    def send(self, frame: Frame) -> None:
        """Send one frame, if the node is there."""
        if self._transport is not None and not self._transport.is_closing():
            data = self._pack(frame)
            self._transport.write(len(data).to_bytes(_PREFIX, "big") + data)

    def _break(self) -> None:
        if self._transport is not None:
            self._transport.abort()
