"""Carriers: deferred requests that the node gives this gateway to ask an engine for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from littoral.domain.deferral import DeferralState
from littoral.domain.errors import LittoralError
from littoral.domain.flight import GUEST
from littoral.domain.session import Carried, Carry, Frame, Quit
from littoral.domain.units import Seconds
from littoral.domain.usage import UsageRecord
from littoral.gateway import deferral
from littoral.gateway.asked import Asked
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import Route
from littoral.gateway.tally import Usage
from littoral.gateway.wire.account import MEDIA
from littoral.gateway.wire.inner import Inner, Unframed
from littoral.gateway.wire.runs import AGAIN_S
from littoral.gateway.wire.worker import Worker

RUN_S: Final = 3600.0
"""Longest that one run may take, seconds."""
MOST_ANSWER: Final = 12 * 1024 * 1024
"""Longest answer that is kept, bytes."""
_UNKNOWN: Final = "the API key that asked for it is unknown"


class _Load(Unframed):
    """The exchange of a run: booked by the node, together with its answer."""

    kind = GUEST
    record: UsageRecord | None = None

    def settle(self, status: int, usage: Usage | None, counted: int) -> float:
        """Settle, and note what it would be as a usage record."""
        slot = self.slot
        cost = super().settle(status, usage, counted)
        if slot >= 0:
            self.record = self._worker.flights.record(slot)
        return cost


class Carriers:
    """What this gateway runs of the node's deferrals.

    Args:
        worker: What all share.
        send: Sends a frame to the node.
        most: Longest answer that is kept, bytes.
    """

    def __init__(
        self, worker: Worker, send: Callable[[Frame], object], *, most: int = MOST_ANSWER
    ) -> None:
        self._worker = worker
        self.most = most
        self._send = send
        self._running: dict[int, _Ear] = {}

    def take(self, frame: Carry | Quit) -> None:
        """Begin a run, or stop one."""
        if isinstance(frame, Quit):
            ear = self._running.get(frame.run)
            if ear is not None:
                ear.stop()
            return
        try:
            self._begin(frame)
        except Exception as error:  # noqa: BLE001  the request edge: one run fails, not all
            self._worker.fault(error)
            self.end(Carried(run=frame.run, state="failed", reason="something failed here"))

    def end(self, carried: Carried) -> None:
        """Tell the node how a run ended."""
        self._running.pop(carried.run, None)
        try:
            self._send(carried)
        except LittoralError as error:
            self._send(Carried(run=carried.run, state="failed", reason=error.message))

    def _begin(self, frame: Carry) -> None:
        worker, asked_for = self._worker, frame.deferral
        key, route = worker.source.tables.keys.get(asked_for.key), _route_of(asked_for.path)
        if key is None:  # this gateway may not have heard yet of the key, or of any
            carried = Carried(run=frame.run, state="queued", reason=_UNKNOWN, again_s=AGAIN_S)
            self.end(replace(carried, counted=worker.source.served))
            return
        if route is None:
            reason = f"{asked_for.path} is served no more"
            self.end(Carried(run=frame.run, state="failed", reason=reason))
            return
        asked = route.read(asked_for.body)
        if isinstance(asked, Refusal):
            self.end(Carried(run=frame.run, state="failed", reason=asked.message))
            return
        ear = self._running[frame.run] = _Ear(self, frame.run, media=_media_of(route, asked))
        ear.inner = Inner(worker, ear, asked_for.request.encode(), key=key, kind=_Load)
        left_s = (asked_for.expires_us - worker.wall_us) / 1e6
        total_s = min(max(left_s, 1.0), RUN_S)
        size = len(asked_for.body)
        ear.inner.ask(route, asked, size=size, total_s=total_s, level=asked_for.level)


class _Ear:
    """Hears one run for the node."""

    inner: Inner

    def __init__(self, carriers: Carriers, run: int, *, media: str) -> None:
        self._carriers = carriers
        self._run = run
        self._media = media
        self._pieces: list[bytes] = []
        self._size = 0

    def piece(self, payload: bytes) -> None:
        """The whole body, or some events of a stream."""
        self._size += len(payload)
        if self._size <= self._carriers.most:
            self._pieces.append(payload)

    def refused(self, refusal: Refusal) -> None:
        """Nothing was answered: hand it back where waiting may help, else it has failed."""
        again = deferral.again(refusal)
        if again is None:
            self._end("failed", refusal.message)
            return
        again_s, counted = again
        self._carriers.end(
            Carried(
                run=self._run,
                state="queued",
                reason=refusal.message,
                again_s=Seconds(again_s),
                counted=counted,
            )
        )

    def ended(self, *, good: bool) -> None:
        """It ended; a stream that broke is begun again, for nobody has heard of it."""
        if self._size > self._carriers.most:
            self._end("failed", f"the answer is over {self._carriers.most} bytes", self._record)
        elif good:
            self._end("completed", "", self._record)
        else:
            reason = "the engine failed in the middle of its answer"
            carried = Carried(run=self._run, state="queued", reason=reason, again_s=AGAIN_S)
            self._carriers.end(replace(carried, counted=True))

    def stop(self) -> None:
        """Stop the engine, and say what it had used."""
        self.inner.cancel()
        self._end("cancelled", "", self._record)

    @property
    def _record(self) -> UsageRecord | None:
        exchange = self.inner.exchange
        return exchange.record if isinstance(exchange, _Load) else None

    def _end(self, state: DeferralState, reason: str, usage: UsageRecord | None = None) -> None:
        answer = b"".join(self._pieces) if state == "completed" else b""
        self._carriers.end(
            Carried(
                run=self._run,
                state=state,
                reason=reason,
                media=self._media,
                answer=answer,
                usage=usage,
            )
        )


def _route_of(path: str) -> Route | None:
    return deferral.DEFERRABLE.get(path)


def _media_of(route: Route, asked: Asked) -> str:
    """The ``content-type`` of an answer."""
    if not asked.streamed:
        return (asked.media or MEDIA).decode()
    _, _, rest = route.voice.streams.partition(b"content-type: ")
    return rest.partition(b"\r\n")[0].decode()
