"""Entrance: how much, and for how long, anybody may talk before control knows who it is."""

from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from littoral.control.public import MOST_BODY_BYTES

MOST_BYTES = 2 * MOST_BODY_BYTES
"""Of one request, head and body: the parser beneath keeps a header of any length."""
WITHIN_S = 30.0
"""From the connection, or the last answer, until the next head is there whole."""


class Entrance(HttpToolsProtocol):
    """HTTP of a listener that strangers reach: ends who sends too much or begins too slowly."""

    _said = 0
    _give_up: Callable[[], None] | None = None

    def connection_made(self, transport) -> None:  # noqa: ANN001  it is asyncio's  # pyright: ignore[reportMissingParameterType]  not imported here
        """Somebody is there."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """More of a request, or too much of it."""
        if self.transport.is_closing():
            return
        self._said += len(data)
        if self._said > MOST_BYTES:
            self.transport.close()
            return
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """A head is there whole; how long a body may take is the routes' concern."""
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """It was answered: the next one may come."""
        self._said = 0
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._stop_waiting()
        self._give_up = self.loop.call_later(WITHIN_S, self.transport.close).cancel

    def _stop_waiting(self) -> None:
        if self._give_up is not None:
            self._give_up()
            self._give_up = None
