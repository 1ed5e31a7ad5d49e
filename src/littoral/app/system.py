"""The real clock, chance, entropy and failpoints: the only place that reads time or noise."""

import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from typing import cast

from littoral.domain.errors import InvalidInput, LittoralError
from littoral.domain.failpoint import NAMES, FailpointName
from littoral.domain.units import Micros, Seconds


def environment() -> Mapping[str, str]:
    """This process's environment: read once, at its start."""
    return os.environ


class SystemClock:
    """The host's clock."""

    now = staticmethod(cast("Callable[[], Seconds]", time.monotonic))
    """Monotonic seconds; only differences mean anything. No frame of ours: requests call it."""

    def wall(self) -> Micros:
        """UTC microseconds."""
        return Micros(time.time_ns() // 1000)


def minute_of_day(wall: Micros) -> int:
    """The minute of the day of a UTC time, on this host's own clock and calendar."""
    local = time.localtime(wall // 1_000_000)
    return 60 * local.tm_hour + local.tm_min


class SystemChance:
    """Randomness for jitter and exploration.

    Args:
        seed: The same seed gives the same sequence; by default the system seeds it.
    """

    def __init__(self, seed: str | None = None) -> None:
        self._generator = random.Random(seed)  # noqa: S311  Chance is never used for secrets

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._generator.random()


class SystemEntropy:
    """The kernel's random bytes."""

    def bytes(self, count: int) -> bytes:
        """``count`` unpredictable bytes."""
        return os.urandom(count)


class FailpointError(LittoralError):
    """An armed failpoint raised: only tests arm one."""


class SystemFailpoints:
    """Failpoints armed by a specification; without one, ``hit`` does nothing.

    ``outbox.committed=kill@3,stored.sent=error@1,records.sent=delay:200``: the third hit of the
    first kills this process, the first of the second raises, each of the third waits 200 ms.

    Args:
        specification: From the settings; empty arms nothing.

    Raises:
        InvalidInput: A name or an action is unknown.
    """

    def __init__(self, specification: str = "") -> None:
        self._armed: dict[str, tuple[str, int]] = dict(
            _armed(part.strip()) for part in specification.split(",") if part.strip()
        )
        self._hits: dict[str, int] = {}

    def hit(self, name: FailpointName) -> None:
        """Pass the place ``name``."""
        if name not in self._armed:
            return
        action, number = self._armed[name]
        self._hits[name] = self._hits.get(name, 0) + 1
        if action == "delay":
            _say(f"{name}={action}")
            time.sleep(number / 1000)
            return
        if self._hits[name] != number:
            return
        _say(f"{name}={action}")
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FailpointError(f"failpoint {name} hit {number} times")


def _say(acted: str) -> None:
    """Tell what is done, on the way that needs no buffer: the process may end at once."""
    os.write(2, f"failpoint {acted}\n".encode())


def _armed(part: str) -> tuple[str, tuple[str, int]]:
    name, _, action = part.partition("=")
    if name not in NAMES:
        raise InvalidInput(f"no failpoint {name!r}; known: {', '.join(NAMES)}", param="failpoints")
    for word, separator in (("kill", "@"), ("error", "@"), ("delay", ":")):
        head, mark, number = action.partition(separator)
        if head == word and mark and number.isdigit() and int(number) > 0:
            return name, (word, int(number))
    raise InvalidInput(
        f"failpoint {name} cannot do {action!r}; known: kill@N, error@N, delay:MILLISECONDS",
        param="failpoints",
    )
