"""Weights of the catalogue for the slow lane: fetched once, as the product fetches them."""

from pathlib import Path

import anyio
import pytest

from littoral.app.settings import load
from littoral.app.sources import sources
from littoral.app.system import environment
from littoral.domain.model import Artefact
from littoral.jobs.catalogue import CATALOGUE
from littoral.jobs.obtain import Obtaining, World
from littoral.stores.blobs import DiskBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

CACHE = Path(__file__).parents[2] / ".pytest_cache" / "weights"


async def obtained(name: str) -> tuple[Artefact, DiskBlobs]:
    """The weights of a catalogue's model; the test is skipped where they cannot be had."""
    clock = SettableClock()
    blobs = DiskBlobs(str(CACHE), clock=clock, failpoints=ArmedFailpoints())
    table = sources(load({}, {}), environment())
    obtaining = Obtaining(
        World(
            state=MemoryState(),
            blobs=blobs,
            source=lambda scheme: table[scheme](),
            scratch=str(CACHE / "scratch"),
            sink=ListSink(),
            clock=clock,
        )
    )
    obtaining.start(name, CATALOGUE[name].versions[-1])
    async with anyio.create_task_group() as group:
        group.start_soon(obtaining.run)
        while True:
            (status,) = obtaining.statuses()
            if status.phase in {"ready", "failed"}:
                break
            await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    if status.artefact is None:
        pytest.skip(f"{name} cannot be obtained here ({status.error}): counted as not run")
    return status.artefact, blobs
