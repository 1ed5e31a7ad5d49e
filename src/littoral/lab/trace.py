"""Trace: everything that happened, in order, as one hash; the same seed gives the same."""

import hashlib
from collections import deque
from collections.abc import Callable

from littoral.domain.units import Seconds

KEPT = 200


class Trace:
    """The running hash of a simulation.

    Args:
        now: Virtual seconds since its begin.
        tell: Is given each line, where somebody wants to read along.

    Attributes:
        last: The last lines, for whoever looks for a fault.
        lines: How many there were.
    """

    def __init__(
        self, now: Callable[[], Seconds], tell: Callable[[str], None] | None = None
    ) -> None:
        self.last: deque[str] = deque(maxlen=KEPT)
        self.lines = 0
        self._now = now
        self._tell = tell
        self._hash = hashlib.sha256()

    def note(self, text: str, data: bytes = b"") -> None:
        """Add a line; of ``data`` only the hash hears."""
        line = f"{self._now():.6f} {text}"
        self.lines += 1
        self.last.append(line)
        self._hash.update(line.encode())
        self._hash.update(data)
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        """The hash of all until now."""
        return self._hash.hexdigest()
