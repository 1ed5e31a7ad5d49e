"""Guest: a call of another node, answered by an engine of this one.

The node that admitted the request has checked, limited and reserved, and writes its usage record.
Here it is placed among our own engines only, waits in the same line as our own requests, and goes
back piece by piece; its slot only teaches what the engine takes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from littoral.domain.flight import GUEST
from littoral.domain.ids import DeploymentName
from littoral.domain.session import Credit, Data, Frame, Open, Reset
from littoral.domain.stream import Inward, Outward, ReplyHead, ResetCode
from littoral.gateway import route as routes
from littoral.gateway.asked import Asked
from littoral.gateway.operation import PATHS
from littoral.gateway.quota import Gate
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import Route
from littoral.gateway.table import ModelRow
from littoral.gateway.wire.inner import Inner, Unframed
from littoral.gateway.wire.worker import Worker

HIGH: Final = 256 * 1024
"""Bytes of an answer that may wait for leave: beyond them the engine is read no further."""
_OURS: Final = (
    routes.CHAT,
    routes.COMPLETION,
    routes.EMBEDDING,
    routes.RERANK,
    routes.SCORE,
    routes.MODERATION,
    routes.TRANSCRIPTION,
    routes.TRANSLATION,
    routes.SPEECH,
    routes.TOKENIZE,
    routes.DETOKENIZE,
    routes.COUNT,
)
_NAMES: Final = tuple(PATHS.values())
ROUTES: Final = {
    f"/v1{_NAMES[each.operation]}": msgspec.structs.replace(
        each, translator=None, mender=None, instead=None, panel=None
    )
    for each in _OURS
}
"""What another node may ask, by path; answers go back as the engine gave them."""
_CODES: Final[dict[int, ResetCode]] = {
    404: "no_candidate",
    413: "too_large",
    429: "refused",
    503: "refused",
    504: "deadline",
}
_WRONG: Final = frozenset({400, 413, 422})
"""Refusals of the request itself: another node would say the same."""


class _Visit(Unframed):
    """The exchange of a guest: our own engines of one deployment, and no limits of ours."""

    kind = GUEST
    deployment: DeploymentName

    def enter(self, route: Route, asked: Asked, *, size: int, total_s: float) -> Refusal | None:
        """Place it among the engines of its deployment."""
        model = self.found(asked.model)
        if model is None:
            return Refusal(404, "model_not_found", f"{asked.model!r} is not served here")
        worker = self._worker
        now = worker.time()
        self.asked, self.model, self.route = asked, model, route
        self.deadline = now + total_s
        self._size = size
        self._tokens_in = asked.weight or size // 4 or 1
        asked.needs |= self.key.residence
        return self.queue_up(now)

    def gates(self) -> tuple[()]:
        """None: its own node has counted it."""
        return ()

    def unrecorded(self, gates: Sequence[Gate]) -> None:
        """Its own node records it."""

    def found(self, name: str) -> ModelRow | None:
        """The row of a name with those places that a guest may go to."""
        model = super().found(name)
        if model is None:
            return None
        ours = [
            place
            for place in model.places
            if place.via is None and place.endpoint.deployment == self.deployment
        ]
        return model.among(ours) if ours else None

    def keep(self) -> None:
        """Keep nothing: the answer is another node's to remember."""


class _Guest:
    """One call: its body as it comes in, its answer as it goes out."""

    def __init__(self, guests: "Guests", worker: Worker, opened: Open) -> None:
        self._guests = guests
        self._worker = worker
        self._stream = opened.stream
        self._head = opened.head
        self._pieces: list[bytes] = []
        self._come = 0
        self._inward = Inward()
        self._outward = Outward()
        self._inner: Inner | None = None
        self._answering = False
        self._held = False

    # what its node sends

    def heard(self, frame: Data | Reset | Credit) -> None:
        """A frame of the call came."""
        if isinstance(frame, Reset):
            self._stop()
        elif isinstance(frame, Credit):
            self._outward.allow(frame.upto)
            self._flush()
        else:
            self._take(frame)

    def _take(self, frame: Data) -> None:
        self._pieces.append(frame.body)
        self._come += len(frame.body)
        if not self._inward.take(len(frame.body)) or self._come > self._head.size:
            self.reset("too_large", "more bytes came than were announced or allowed")
        elif frame.fin:
            self._begin(b"".join(self._pieces))
        else:
            upto = self._inward.grant()
            if upto:
                self._guests.send(Credit(stream=self._stream, upto=upto))

    def _begin(self, body: bytes) -> None:
        head, worker = self._head, self._worker
        self._pieces.clear()
        route, key = ROUTES.get(head.path), worker.source.tables.keys.get(head.key)
        if route is None or key is None or key.grant.project != head.project:
            self.reset("refused", "this node does not answer such a call")
            return
        asked = route.read(body)
        if isinstance(asked, Refusal):
            self.refused(asked)
            return
        inner = self._inner = Inner(worker, self, head.request.encode(), key=key, kind=_Visit)
        exchange = inner.exchange
        if isinstance(exchange, _Visit):
            exchange.deployment = head.deployment
        asked.model = head.model
        total_s = head.deadline_ms / 1000 if head.deadline_ms else math.inf
        inner.ask(route, asked, size=len(body), total_s=total_s, level=head.level)

    def _stop(self) -> None:
        """The other node wants no more of it."""
        self._guests.end(self._stream)
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.cancel()

    # what the engine answers

    def piece(self, payload: bytes) -> None:
        """The whole body, or some whole events of a stream."""
        self._answer()
        self._outward.put(payload)
        self._flush()
        if self._outward.waiting > HIGH and not self._held and self._inner is not None:
            self._held = True
            self._inner.hold(stop=True)

    def refused(self, refusal: Refusal) -> None:
        """Nothing was answered."""
        if refusal.status in _WRONG:
            body = routes.CHAT.voice.error_body(refusal, self._head.request)
            self._answer(refusal.status)
            self._outward.put(body, last=True)
            self._flush()
        else:
            self.reset(_CODES.get(refusal.status, "engine_failed"), refusal.message)

    def ended(self, *, good: bool) -> None:
        """The answer is complete; or its stream broke, and its last event says why."""
        del good
        self._answer()
        self._outward.put(b"", last=True)
        self._flush()

    def reset(self, code: ResetCode, message: str) -> None:
        """End the call from here."""
        self._guests.send(
            Reset(stream=self._stream, code=code, retryable=code == "refused", message=message)
        )
        self._stop()

    def _answer(self, status: int = 200) -> None:
        if not self._answering:
            self._answering = True
            self._guests.send(Data(stream=self._stream, head=ReplyHead(status=status)))

    def _flush(self) -> None:
        for body, last in self._outward.pieces():
            self._guests.send(
                Data(stream=self._stream, body=body, fin=last, head=self._tail() if last else None)
            )
            if last:
                self._guests.end(self._stream)
        if self._held and self._outward.waiting <= HIGH // 2 and self._inner is not None:
            self._held = False
            self._inner.hold(stop=False)

    def _tail(self) -> ReplyHead | None:
        if self._inner is None:
            return None
        tokens_in, cached, tokens_out = self._inner.used
        return ReplyHead(status=200, tokens_in=tokens_in, cached=cached, tokens_out=tokens_out)


class Guests:
    """The calls that other nodes have under way here.

    Args:
        worker: What all share.
        send: Sends a frame to our node.
    """

    def __init__(self, worker: Worker, send: Callable[[Frame], object]) -> None:
        self._worker = worker
        self.send = send
        self._open: dict[int, _Guest] = {}

    def take(self, frame: Open | Data | Reset | Credit) -> None:
        """Begin a call, or give a frame to the one that it is of."""
        try:
            self._take(frame)
        except Exception as error:  # noqa: BLE001  the request edge: one call fails, not all
            self._worker.fault(error)
            guest = self._open.get(frame.stream)
            if guest is not None:
                guest.reset("internal", "something failed here")

    def end(self, stream: int) -> None:
        """Forget a call."""
        self._open.pop(stream, None)

    def _take(self, frame: Open | Data | Reset | Credit) -> None:
        if isinstance(frame, Open):
            self._open[frame.stream] = _Guest(self, self._worker, frame)
            return
        guest = self._open.get(frame.stream)
        if guest is not None:
            guest.heard(frame)
