"""``littoral node``: what runs beside the engines."""

import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import cast

import anyio

from littoral.app.anchors import read_anchors
from littoral.app.channel import UnixNetwork
from littoral.app.codec import unpack
from littoral.app.flight_file import flight_file, tables_of
from littoral.app.gateway_child import launcher
from littoral.app.handed import Handed
from littoral.app.play import play
from littoral.app.quota_file import NODE, quota_file
from littoral.app.role.world import drivers, to_stderr
from littoral.app.settings import Settings
from littoral.app.system import (
    SystemChance,
    SystemClock,
    SystemEntropy,
    SystemFailpoints,
)
from littoral.app.version import VERSION
from littoral.domain.ids import NodeId, new_id
from littoral.domain.ports import Clock, Disk, Sink
from littoral.domain.response import ResponseStore
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.node.backoff import Patience
from littoral.node.gateway import Launch
from littoral.node.machine import Host
from littoral.node.serve import Identity, NodeParts, serve
from littoral.stores.blobs import DiskBlobs
from littoral.stores.disk import LocalDisk
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.responses import SqliteResponses
from littoral.telemetry.log import Log

ID_FILE = "node.json"


def main() -> int:
    """Run a node until told to stop; returns its exit status."""
    return play(_run)


async def _run(given: Handed, stop: anyio.Event) -> None:
    async with open_parts(given) as parts:
        await serve(parts, stop=stop)


@asynccontextmanager
async def open_parts(given: Handed) -> AsyncGenerator[NodeParts]:
    """Open everything a node needs for as long as the context lasts."""
    settings = given.settings
    clock, entropy = SystemClock(), SystemEntropy()
    failpoints = SystemFailpoints(settings.failpoints)
    log = Log(to_stderr, clock=clock, role="node", level=settings.log_level)
    disk = LocalDisk(settings.data_dir)
    outbox = SqliteOutbox.open(
        str(settings.path("outbox.db")),
        clock=clock,
        entropy=entropy,
        failpoints=failpoints,
        sink=log,
    )
    count = tables_of(settings)
    with contextlib.ExitStack() as stack:
        flights = [stack.enter_context(flight_file(settings, each)) for each in range(count)]
        quota = stack.enter_context(quota_file(settings, mine=NODE, columns=count + 1))
        async with outbox as opened, _responses(settings, clock, log) as responses:
            yield NodeParts(
                identity=Identity(
                    node=_node_id(disk, clock.wall(), entropy.bytes(10)),
                    name=settings.name,
                    boot=entropy.bytes(8).hex(),
                    build=VERSION,
                ),
                network=UnixNetwork(),
                session=str(settings.path("run/session.sock")),
                registry=drivers(settings, entropy),
                blobs=DiskBlobs(str(settings.path("blobs")), clock=clock, failpoints=failpoints),
                outbox=opened,
                responses=responses,
                disk=disk,
                clock=clock,
                chance=SystemChance(),
                failpoints=failpoints,
                sink=log,
                unpack=unpack,
                anchors=partial(read_anchors, disk),
                flights=flights,
                quota=quota,
                gateways=_gateways(given),
                machine=Host().read,
                report=_report,
                patience=Patience(
                    crashes=settings.crash_limit,
                    longest_s=Seconds(settings.restart_max_s),
                    drain_s=Seconds(settings.drain_s),
                ),
            )


def _responses(
    settings: Settings, clock: Clock, sink: Sink
) -> AbstractAsyncContextManager[ResponseStore]:
    path, most = str(settings.path("responses.db")), settings.responses_mib * 1024 * 1024
    return SqliteResponses.open(path, clock=clock, sink=sink, most=Bytes(most))


def _gateways(given: Handed) -> list[Launch]:
    settings = given.settings
    return [
        launcher(settings, given.descriptors[f"listen{each}"], each)
        for each in range(settings.gateway_workers)
    ]


def _node_id(disk: Disk, wall: Micros, noise: bytes) -> NodeId:
    """This node's id, made on its first start."""
    kept = disk.read(ID_FILE)
    if kept is None:
        made = new_id("nd", wall=wall, noise=noise)
        disk.write(ID_FILE, json.dumps({"id": made}).encode())
        return NodeId(made)
    return NodeId(cast("dict[str, str]", json.loads(kept))["id"])


def _report(pids: Mapping[str, int]) -> None:
    """Tell the supervisor who runs."""
    sys.stdout.write(json.dumps(pids) + "\n")
    sys.stdout.flush()
