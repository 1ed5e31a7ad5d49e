"""Engines that are played: they take their time to start, and crash when told to."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from littoral.domain.endpoint import Address, Endpoint, EngineSpec
from littoral.domain.errors import UnknownName, UpstreamFailed
from littoral.domain.ids import EndpointId
from littoral.domain.ports import Chance, Engine, Instance, Source
from littoral.domain.units import Seconds

STARTS_WITHIN = Seconds(20.0)


class PlayedEngine:
    """One running engine.

    Args:
        spec: What it was started for.
        pid: Of its process.
    """

    def __init__(self, spec: EngineSpec, pid: int) -> None:
        self._spec = spec
        self._ended = anyio.Event()
        self.pid: int | None = pid

    @property
    def endpoint(self) -> Endpoint:
        """How the gateway reaches it."""
        assignment = self._spec.assignment
        return Endpoint(
            id=EndpointId(assignment.name),
            deployment=assignment.name,
            serves=assignment.serves,
            engine=assignment.engine,
            state="ready",
            address=Address(host="127.0.0.1", port=self.pid or 0),
            slots=assignment.slots or 1,
            price_in=assignment.price_in,
            price_out=assignment.price_out,
        )

    async def healthy(self) -> bool:
        """Whether it answers now."""
        return not self._ended.is_set()

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        await self._ended.wait()
        return "killed by signal 11"

    def crash(self) -> None:
        """End it."""
        self._ended.set()


class PlayedDriver:
    """Starts engines; at times one does not come up. Also the ``Registry`` that knows only it.

    Args:
        chance: Draws how long that takes, and whether it fails.

    Attributes:
        running: Every engine that runs, by pid.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._pids = 1000
        self.running: dict[int, PlayedEngine] = {}

    def engine(self, kind: str) -> Engine:
        """Itself, for every kind."""
        del kind
        return self

    def source(self, scheme: str) -> Source:
        """None is known."""
        raise UnknownName(f"no source {scheme!r} in a simulation")

    def check(self, spec: EngineSpec) -> None:
        """Every option is right."""
        del spec

    def launch(self, spec: EngineSpec) -> AbstractAsyncContextManager[Instance]:
        """Start one."""
        return self._launch(spec)

    @asynccontextmanager
    async def _launch(self, spec: EngineSpec) -> AsyncGenerator[Instance]:
        await anyio.sleep(STARTS_WITHIN * self._chance.random())
        if self._chance.random() < 0.1:
            raise UpstreamFailed("it did not come up")
        self._pids += 1
        engine = PlayedEngine(spec, self._pids)
        self.running[self._pids] = engine
        try:
            yield engine
        finally:
            self.running.pop(engine.pid or 0, None)
