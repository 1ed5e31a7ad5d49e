"""Memory that engines were promised, so that two that start together do not both get the last."""

from dataclasses import replace

from littoral.domain.endpoint import Machine
from littoral.domain.ids import EndpointId
from littoral.domain.units import Bytes


class Promises:
    """What each engine may use: while it loads, the host does not show it as used yet."""

    def __init__(self) -> None:
        self._loading: dict[EndpointId, int] = {}
        self._running: dict[EndpointId, int] = {}

    def free(self, machine: Machine) -> Machine:
        """The machine with only that memory free which nobody was promised.

        Weights are mapped from files, and the host counts these as available: so what all engines
        were promised is also taken off the whole.
        """
        loading = sum(self._loading.values())
        left = machine.memory - loading - sum(self._running.values())
        free = max(0, min(machine.memory_free - loading, left))
        return replace(machine, memory_free=Bytes(free))

    def load(self, engine: EndpointId, size: int) -> None:
        """Promise ``size`` bytes to an engine that begins to load."""
        self._loading[engine] = size

    def run(self, engine: EndpointId) -> None:
        """The engine has loaded: the host now shows what it uses."""
        self._running[engine] = self._loading.pop(engine, 0)

    def release(self, engine: EndpointId) -> None:
        """The engine is gone."""
        self._loading.pop(engine, None)
        self._running.pop(engine, None)
