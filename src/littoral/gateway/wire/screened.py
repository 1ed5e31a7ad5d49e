"""Screened: what leaves for an API outside goes through the filters of its project first."""

from abc import abstractmethod
from functools import partial
from typing import Final

from littoral.domain.errors import Denied, Unavailable
from littoral.gateway import guard
from littoral.gateway.asked import Asked, cap_of
from littoral.gateway.guard import Unsearchable
from littoral.gateway.refusal import refuse
from littoral.gateway.table import Place
from littoral.gateway.wire.hedging import Hedging
from littoral.gateway.wire.screener import GONE
from littoral.gateway.wire.waiting import FIRST_BYTE_S

SHORT: Final = 250
"""Bytes that are searched here, in about 50 microseconds; longer ones elsewhere."""


class Screened(Hedging):
    """The step between a place and the sending to it."""

    def start(self, now: float) -> None:
        """Encode the request for its place, and send it there, redacted where that is outside."""
        place, mask = self.place, self.key.redacts
        data = self.encoded(place)
        if mask and place.remote:
            self._redact(data, mask, now)
        else:
            self.send(data, now)

    def encoded(self, place: Place) -> bytes:
        """The request's body as a place gets it."""
        asked, encode = self.asking() if self.key.policies else self.asked, self.route.encode
        cap = cap_of(asked.cap, most=place.cap, context=place.context, tokens_in=self._tokens_in)
        return encode(asked, place.model, cap)

    @abstractmethod
    def asking(self) -> Asked:
        """What is asked of the place, which may be more than the caller asked."""

    def message(self, place: Place) -> bytes:
        """The request as it is sent to a place, unless that is one for which it is redacted."""
        data = self.encoded(place)
        return b"%b%d\r\n\r\n%b" % (place.heads[self.route.operation], len(data), data)

    @abstractmethod
    def send(self, data: bytes, now: float) -> None:
        """Send an encoded request to its place."""

    @abstractmethod
    def fault(self, error: Exception) -> None:
        """End it after an error of ours."""

    def _redact(self, data: bytes, mask: int, now: float) -> None:
        worker = self._worker
        if len(data) > SHORT:
            self._client.due = min(self.deadline, now + FIRST_BYTE_S)
            if not worker.screener.ask(data, mask, partial(self._redacted, self.place)):
                self._elsewhere(GONE, now)
            return
        try:
            data = guard.redacted(data, mask)
        except Unsearchable as error:
            self._elsewhere(str(error), now)
            return
        worker.counters["redacted"] += 1
        self.send(data, now)

    def _redacted(self, place: Place, answer: bytes | str) -> None:
        """What came back, unless the request has ended or moved since."""
        if self.slot < 0 or self.place is not place:
            return
        now = self._worker.time()
        try:
            if isinstance(answer, str):
                self._elsewhere(answer, now)
            else:
                self._worker.counters["redacted"] += 1
                self.send(answer, now)
        except Exception as error:  # noqa: BLE001  the request edge: one request fails, not all
            self.fault(error)

    def _elsewhere(self, reason: str, now: float) -> None:
        """It may not leave as it is: go to another place, or nowhere."""
        self._worker.counters["kept_in"] += 1
        if self.move(now):
            self.start(now)
            return
        message = f"this project redacts what leaves for {self.place.endpoint.id!r}: {reason}"
        if reason == GONE:
            self._refused(refuse(Unavailable, message, retry_after_s=1.0))
        else:
            self._refused(refuse(Denied, message))
