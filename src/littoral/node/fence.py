"""Fences: waiting until gateways have seen what is in memory now."""

from littoral.domain.session import Fence
from littoral.node.signal import Signal


class Fences:
    """The last fence, and which one each gateway has met.

    Args:
        changed: Rung for a new fence, and when one was met.
    """

    def __init__(self, changed: Signal) -> None:
        self.frame = Fence(number=0)
        self._changed = changed
        self._met: dict[str, int] = {}

    def met(self, role: str, number: int) -> None:
        """A gateway said which one it met last."""
        if self._met.get(role) != number:
            self._met[role] = number
            self._changed.notify()

    def gone(self, role: str) -> None:
        """A gateway is no more."""
        self._met.pop(role, None)

    async def passed(self) -> None:
        """Wait until whatever any gateway had begun is over, and it sees what is in memory now."""
        number = self.frame.number + 1
        self.frame = Fence(number=number)
        self._changed.notify()
        while min(self._met.values(), default=number) < number:
            await self._changed.wait()
