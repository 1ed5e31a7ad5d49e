"""Shelf: what this gateway asks its node about stored responses, each question with its number."""

from collections.abc import Callable
from typing import Final

from littoral.domain.errors import LittoralError, Overloaded, Unavailable
from littoral.domain.session import Frame, Heard, Leave, Shelved
from littoral.gateway.refusal import Refusal, refuse

OPEN: Final = 256
"""Most questions that wait for an answer."""
_GONE: Final = refuse(Unavailable, "this gateway lost its node", retry_after_s=1.0)
_BUSY: Final = refuse(Overloaded, "too many questions wait for the store", retry_after_s=1.0)
Answered = Callable[[Shelved | Refusal], None]
Hearing = Callable[[Heard], None]


class Shelf:
    """The node's stored responses, from here.

    Questions are answered in any order. A follower hears events after its answer.
    """

    def __init__(self) -> None:
        self.send: Callable[[Frame], object] | None = None
        self._number = 0
        self._asked: dict[int, Answered] = {}
        self._following: dict[int, Hearing] = {}

    def ask(self, question: Callable[[int], Frame], then: Answered) -> int:
        """Ask; ``then`` is called once, before this returns where nobody can be asked.

        Args:
            question: Makes the frame of its number.
            then: Takes the answer, or why there is none.

        Returns:
            The number, for ``forget``.
        """
        self._number += 1
        number = self._number
        refusal = self._put(number, question)
        if refusal is None:
            self._asked[number] = then
        else:
            self._following.pop(number, None)
            then(refusal)
        return number

    def _put(self, number: int, question: Callable[[int], Frame]) -> Refusal | None:
        if self.send is None:
            return _GONE
        if len(self._asked) >= OPEN:
            return _BUSY
        try:
            self.send(question(number))
        except LittoralError as error:
            return Refusal(error.status, error.code, error.message)
        return None

    def follow(self, question: Callable[[int], Frame], then: Answered, hear: Hearing) -> int:
        """Ask as ``ask`` does, and hear events until the last one, or ``forget``."""
        number = self._number + 1
        self._following[number] = hear
        return self.ask(question, then)

    def forget(self, number: int) -> None:
        """Hear neither the answer nor events any more."""
        self._asked.pop(number, None)
        if self._following.pop(number, None) is not None and self.send is not None:
            self.send(Leave(number=number))

    def take(self, frame: Frame) -> None:
        """Take what the node answered."""
        if isinstance(frame, Shelved):
            then = self._asked.pop(frame.number, None)
            if then is not None:
                then(Refusal(frame.status, frame.code, frame.message) if frame.code else frame)
        elif isinstance(frame, Heard):
            hear = self._following.get(frame.number)
            if frame.ended:
                self._following.pop(frame.number, None)
            if hear is not None:
                hear(frame)

    def lost(self) -> None:
        """The node is gone: nothing will be answered."""
        self.send = None
        asked, self._asked = self._asked, {}
        self._following.clear()
        for then in asked.values():
            then(_GONE)
