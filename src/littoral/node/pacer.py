"""Pacer: holds back what comes over the site's line, by its cap and its windows."""

from collections.abc import Callable

import anyio

from littoral.domain.pace import (
    Bucket,
    Line,
    PacePolicy,
    is_looking,
    is_open,
    look,
    rate_of,
    take,
)
from littoral.domain.ports import Clock
from littoral.domain.units import Bytes, Micros, Seconds

LOOK_S = Seconds(30.0)
"""How often a closed window is looked at."""


class Pacer:
    """One for all downloads of a node.

    Args:
        policy: What the site allows now.
        clock: Time.
        local: Minute of the day at the site, of a UTC time.
    """

    def __init__(
        self,
        policy: Callable[[], PacePolicy],
        *,
        clock: Clock,
        local: Callable[[Micros], int],
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._local = local
        self._line = Line()
        self._bucket = Bucket(room=0.0, at=clock.now())

    @property
    def is_capped(self) -> bool:
        """Whether the site has a cap."""
        return self._policy().bytes_s is not None

    @property
    def is_open(self) -> bool:
        """Whether artefacts may come now."""
        return is_open(self._policy().windows, minute=self._local(self._clock.wall()))

    async def opened(self) -> None:
        """Wait for a window in which artefacts may come."""
        while not self.is_open:  # noqa: ASYNC110  what it waits for is the time of day
            await anyio.sleep(LOOK_S)

    async def took(self, count: int) -> None:
        """Wait as long as bytes that came have used up."""
        policy, now = self._policy(), self._clock.now()
        rate = rate_of(policy, self._line, now=now)
        if rate is None:
            return
        if self._line.began is not None or is_looking(self._line, now=now):
            self._line = look(self._line, Bytes(count), now=now)
        self._bucket, wait = take(self._bucket, count, rate=rate, now=now)
        await anyio.sleep(wait)
