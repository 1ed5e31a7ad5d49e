"""Real engines for the benchmark: weights of the catalogue, run by our own drivers."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2

from littoral.app.settings import load
from littoral.app.sources import sources
from littoral.app.spawner import Children
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.ids import DeploymentName
from littoral.domain.model import Artefact, VersionSpec
from littoral.domain.ports import Engine, Instance
from littoral.domain.units import Bytes
from littoral.engines.process import ProcessDriver
from littoral.jobs.catalogue import CATALOGUE
from littoral.jobs.obtain import Obtaining, World
from littoral.stores.blobs import DiskBlobs
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

CACHE = Path(__file__).parents[1] / "out" / "weights"


async def artefact_of(name: str) -> tuple[Artefact, DiskBlobs]:
    """The weights of a catalogue's model, and where their files are."""
    version: VersionSpec = CATALOGUE[name].versions[-1]
    blobs = DiskBlobs(str(CACHE), clock=SystemClock(), failpoints=SystemFailpoints())
    table = sources(load({}, {}), dict(os.environ))
    world = World(
        state=MemoryState(), blobs=blobs, source=lambda scheme: table[scheme](),
        scratch=str(CACHE / "scratch"), sink=ListSink(), clock=SystemClock(),
    )  # fmt: skip
    obtaining = Obtaining(world)
    obtaining.start(name, version)
    async with anyio.create_task_group() as group:
        group.start_soon(obtaining.run)
        while True:
            (status,) = obtaining.statuses()
            if status.phase == "failed":
                raise SystemExit(f"{name} cannot be fetched: {status.error}")
            if status.artefact is not None:
                group.cancel_scope.cancel()
                return status.artefact, blobs
            await anyio.sleep(0.2)


@asynccontextmanager
async def running(
    driver: type[ProcessDriver], name: str, *, threads: int = 1, **options: object
) -> AsyncGenerator[tuple[Instance, httpx2.AsyncClient]]:
    """An engine of ours with a catalogue's model, and a client of it."""
    artefact, blobs = await artefact_of(name)
    engine: Engine = driver(spawner=Children(), entropy=SystemEntropy(), logs=str(CACHE))
    assignment = Assignment(
        name=DeploymentName("bench"), revision=1, serves="bench", engine=driver.kind,
        model=name, artefact=artefact, slots=4, options=options,
    )  # fmt: skip
    free = Bytes(8 << 30)
    spec = EngineSpec(
        assignment=assignment, artefact_path=blobs.path(artefact.digest),
        files={file.name: blobs.path(file.digest) or "" for file in artefact.files},
        machine=Machine(cores=threads, memory=free, memory_free=free), threads=threads,
    )  # fmt: skip
    spec = replace(spec)
    async with engine.launch(spec) as instance:
        endpoint = instance.endpoint
        url = f"http://{endpoint.address.host}:{endpoint.address.port}{endpoint.address.base}"
        headers = {"authorization": f"Bearer {endpoint.credential}"}
        async with httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=600, trust_env=False
        ) as client:
            yield instance, client


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process, its peak, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith("VmHWM"))
    return int(found.split()[1]) * 1024 / 1e6
