"""What control and node share: the drivers of engines, and where log lines go."""

import sys
from collections.abc import Callable
from typing import cast

from littoral.app.registry import SOURCES, Drivers, EngineWorld, Sources, load
from littoral.app.settings import Settings
from littoral.app.spawner import Children
from littoral.app.system import SystemEntropy, environment
from littoral.trust.address import verdict

HIDDEN = ("PIP_",)
"""Prefixes of variables that engines do not get: a package index may have a password."""


def drivers(settings: Settings, entropy: SystemEntropy) -> Drivers:
    """The registry of engine drivers, each loaded on its first use."""
    passed = {
        name: value
        for name, value in environment().items()
        if not name.startswith(HIDDEN) and not name.lower().endswith("_proxy")
    }
    world = EngineWorld(
        spawner=Children(),
        entropy=entropy,
        logs=str(settings.path("logs")),
        environment=passed,
        verdict=verdict,
    )

    def sources() -> Sources:
        make = cast("Callable[..., Sources]", load(SOURCES, "sources", what="table"))
        return make(settings, environment())

    return Drivers(world, sources=sources)


def to_stderr(line: str) -> None:
    """Write one log line; standard error is the role's log file."""
    sys.stderr.write(line)
    sys.stderr.flush()
