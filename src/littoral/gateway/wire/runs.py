"""Runs: responses in the background that the node gives this gateway to ask an engine for."""

from collections.abc import Callable
from typing import Final

from littoral.domain.errors import BudgetExhausted, LittoralError, UpstreamFailed
from littoral.domain.response import ResponseStatus
from littoral.domain.session import Frame, Quit, Ran, Run, Told
from littoral.domain.units import Seconds
from littoral.gateway.dialect.responses import kept
from littoral.gateway.dialect.responses.ask import asked_of
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import RESPONSES
from littoral.gateway.wire.inner import Inner
from littoral.gateway.wire.worker import Worker

RUN_S: Final = 3600.0
"""Deadline of one run, seconds."""
AGAIN_S: Final = Seconds(2.0)
"""A run that could not begin is tried again after so long, where nobody says how long."""
_LATER: Final = frozenset({429, 502, 503})
_REVOKED: Final = "the API key that asked for it is revoked or expired"
_UNKNOWN: Final = "the API key that asked for it is unknown"


class Runs:
    """What this gateway runs for the node.

    Args:
        worker: What all share.
        send: Sends a frame to the node.
    """

    def __init__(self, worker: Worker, send: Callable[[Frame], object]) -> None:
        self._worker = worker
        self._send = send
        self._runs: dict[int, Inner] = {}

    def take(self, frame: Run | Quit) -> None:
        """Begin a run, or stop one."""
        if isinstance(frame, Quit):
            inner = self._runs.pop(frame.run, None)
            if inner is not None:
                inner.cancel()
            return
        try:
            self._begin(frame)
        except Exception as error:  # noqa: BLE001  the request edge: one run fails, not all
            self._worker.fault(error)
            self.end(frame.run, "failed", reason="something failed here")

    def tell(self, run: int, events: bytes) -> None:
        """Send events of a stream."""
        self._send(Told(run=run, events=events))

    def end(self, run: int, status: ResponseStatus, *, body: bytes = b"", reason: str = "") -> None:
        """Tell the node how a run ended."""
        self._runs.pop(run, None)
        try:
            self._send(Ran(run=run, status=status, body=body, reason=reason))
        except LittoralError as error:
            self._send(Ran(run=run, status="failed", reason=error.message))

    def refused(self, run: int, refusal: Refusal) -> None:
        """Hand a run back where waiting may help, or an engine failed; else it has failed."""
        self._runs.pop(run, None)
        later = refusal.status in _LATER and refusal.code != BudgetExhausted.code
        ran = Ran(
            run=run,
            status="failed",
            reason=refusal.message,
            again_s=Seconds(refusal.retry_after_s or AGAIN_S) if later else None,
            counted=refusal.code == UpstreamFailed.code,
        )
        self._send(ran)

    def _begin(self, frame: Run) -> None:
        worker, response = self._worker, frame.response
        key = worker.source.tables.keys.get(response.key)
        if key is None:
            self._unknown(frame.run)
            return
        if key.grant.revoked or worker.wall_us >= key.expires_us:
            self.end(frame.run, "failed", reason=_REVOKED)
            return
        name = response.id.removeprefix("resp_")
        created_s = response.created_us // 1_000_000
        asked = asked_of(kept.run_of(response.asked), (), name=name, created_s=created_s)
        if isinstance(asked, Refusal):
            self.end(frame.run, "failed", reason=asked.message)
            return
        ear = _Ear(self, frame.run, streamed=response.streamed, worker=worker)
        inner = Inner(worker, ear, worker.request_id(), key=key)
        self._runs[frame.run] = inner
        inner.ask(RESPONSES, asked, size=len(response.asked), total_s=RUN_S)

    def _unknown(self, run: int) -> None:
        """Hand it back: this gateway may not have heard yet of the key, or of any."""
        counted = self._worker.source.served
        ran = Ran(run=run, status="failed", reason=_UNKNOWN, again_s=AGAIN_S, counted=counted)
        self._send(ran)


class _Ear:
    """Hears one run for the node."""

    def __init__(self, runs: Runs, run: int, *, streamed: bool, worker: Worker) -> None:
        self._runs = runs
        self._run = run
        self._streamed = streamed
        self._worker = worker
        self._body: bytes | None = None

    def piece(self, payload: bytes) -> None:
        """Events go on; of a stream the last one has the response, too."""
        if self._streamed:
            self._runs.tell(self._run, payload)
            self._body = kept.last_of(payload) or self._body
        else:
            self._body = payload

    def refused(self, refusal: Refusal) -> None:
        """Nothing was answered."""
        self._runs.refused(self._run, refusal)

    def ended(self, *, good: bool) -> None:
        """It ended; a stream that broke has said why."""
        del good
        if self._body is None:
            self._runs.end(self._run, "failed", reason="it ended without an answer")
            return
        at_s = self._worker.wall_us // 1_000_000
        body = kept.completed_at(self._body, at_s)
        self._runs.end(self._run, kept.status_of(body), body=body)
