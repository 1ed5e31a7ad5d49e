"""Share: what one connection holds of the room that a worker has for long bodies."""

from typing import Final

from littoral.domain.errors import Overloaded
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.wire.worker import Worker

CROWDED: Final = refuse(
    Overloaded,
    "too many long bodies and too much sound are on their way",
    retry_after_s=1.0,
    close=True,
)


class Share:
    """Bytes taken before each long body comes, and given back when it is answered.

    Args:
        worker: Whose room it is.
    """

    __slots__ = ("_held", "_worker", "answering")

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._held = 0
        self.answering = 0
        """Of the message that is being answered."""

    def take(self, size: int) -> Refusal | None:
        """Take so many bytes, if there are as many."""
        if self._worker.room < size:
            return CROWDED
        self._worker.room -= size
        self._held += size
        return None

    def answered(self) -> None:
        """Give back those of the message that was answered."""
        self._give(self.answering)

    def leave(self) -> None:
        """Give back everything: the connection is gone."""
        self._give(self._held)

    def _give(self, size: int) -> None:
        self._worker.room += size
        self._held -= size
        self.answering = 0
