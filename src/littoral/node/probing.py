"""Probing: how fast an engine is, measured once it is ready, without getting into anybody's way."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio

from littoral.domain.endpoint import Endpoint
from littoral.domain.errors import LittoralError
from littoral.domain.ids import EndpointId
from littoral.domain.node import Speed
from littoral.domain.ports import Clock
from littoral.domain.units import Seconds
from littoral.node.board import Board

Probe: TypeAlias = Callable[[Endpoint, int, int], Awaitable[tuple[Seconds, Seconds]]]
"""Asks an engine with so many tokens for so many: seconds to the first, and in all."""
SHAPES: Final = ((32, 1), (512, 1), (32, 32))
"""Tokens in and out of the three probes."""
WITHIN: Final = Seconds(60.0)
"""A probe that takes longer is given up: its engine is slow, and that is known then."""
REST: Final = 9.0
"""Rest after a probe, as a multiple of what it took: at most a tenth of the time is spent on it."""
LOOK: Final = Seconds(2.0)
TRIES: Final = 3
SETTLING: Final = Seconds(5.0)
"""After an engine is ready: whoever started it asks it first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbingParts:
    """What probing needs; ``under_way`` counts requests that are being answered here.

    ``asking`` counts questions of our own, which give way to probes.
    """

    board: Board
    clock: Clock
    probe: Probe
    under_way: Callable[[], int]
    asking: Callable[[], int] = lambda: 0


class Probing:
    """Measures engines of this machine, each once for each of its starts, and when asked to.

    Args:
        parts: The world.
    """

    def __init__(self, parts: ProbingParts) -> None:
        self._parts = parts
        self._known: set[EndpointId] = set()
        self.measuring = False
        """Whether an engine is, or could be, measured now: other questions of ours wait."""

    def again(self) -> int:
        """Measure every engine anew; returns how many are ready."""
        self._known.clear()
        self._parts.board.changed.notify()
        return len(self._ready())

    async def run(self) -> None:
        """Measure what becomes ready, until cancelled."""
        while True:
            ready = self._ready()
            self._known &= {each.id for each in ready}
            for endpoint in ready:
                if endpoint.id not in self._known:
                    self._known.add(endpoint.id)
                    await self._measure(endpoint)
            if self._known.issuperset(each.id for each in self._ready()):
                await self._parts.board.changed.wait()

    def _ready(self) -> list[Endpoint]:
        """Engines of this machine that answer in words; an upstream's tokens cost money."""
        return [
            each
            for each in self._parts.board.own
            if each.state == "ready"
            and not each.remote
            and each.address is not None
            and {"chat", "completions"}.intersection(each.capabilities)
        ]

    async def _measure(self, endpoint: Endpoint) -> None:
        found: list[Speed] = []
        await anyio.sleep(SETTLING)
        for tokens_in, tokens_out in SHAPES:
            if tokens_in + tokens_out > (endpoint.context or tokens_in + tokens_out):
                continue
            speed = await self._tried(endpoint, tokens_in, tokens_out)
            if speed is not None:
                found.append(speed)
                self._parts.board.put_speeds(endpoint.id, tuple(found))
                await anyio.sleep(speed.total_s * REST)

    async def _quiet(self) -> None:
        """Wait until nobody is served."""
        while True:
            self.measuring = not self._parts.under_way()
            if self.measuring and not self._parts.asking():
                return
            await anyio.sleep(LOOK)

    async def _tried(self, endpoint: Endpoint, tokens_in: int, tokens_out: int) -> Speed | None:
        """One probe while nobody is served; None where it did not succeed."""
        for _ in range(TRIES):
            await self._quiet()
            try:
                with anyio.fail_after(WITHIN):
                    first, total = await self._parts.probe(endpoint, tokens_in, tokens_out)
            except (LittoralError, TimeoutError):
                self.measuring = False
                await anyio.sleep(LOOK)
                continue
            self.measuring = False
            if not self._parts.under_way():
                return Speed(
                    endpoint=endpoint.id,
                    tokens_in=tokens_in,
                    tokens_out=tokens_out,
                    streams=1,
                    first_s=first,
                    total_s=total,
                    at_us=self._parts.clock.wall(),
                )
        return None
