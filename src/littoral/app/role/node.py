"""``littoral node``: what runs beside the engines."""

import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import anyio
from anyio import lowlevel

from littoral.app.anchors import read_anchors
from littoral.app.channel import UnixNetwork
from littoral.app.codec import unpack
from littoral.app.doors import peer_door
from littoral.app.flight_file import flight_file, tables_of
from littoral.app.gateway_child import launcher
from littoral.app.handed import Handed
from littoral.app.late import LateDownloads, LateRebuilder, LateRegistrar
from littoral.app.link.remote import between_nodes, towards_control
from littoral.app.play import play
from littoral.app.prober import Prober
from littoral.app.quota_file import NODE, quota_file
from littoral.app.registry import installed
from littoral.app.role.deferrals import bounds_of, deferrals_of
from littoral.app.role.world import drivers, to_stderr
from littoral.app.settings import Settings
from littoral.app.supervisor import EX_AGAIN
from littoral.app.system import (
    SystemChance,
    SystemClock,
    SystemEntropy,
    SystemFailpoints,
    minute_of_day,
)
from littoral.app.tube import Doorway
from littoral.app.venv import VenvInstaller
from littoral.app.version import VERSION
from littoral.domain.enrolment import REVOKED, control_host
from littoral.domain.errors import Revoked, UnknownName
from littoral.domain.ids import NodeId, new_id
from littoral.domain.link import Shown
from littoral.domain.ports import Clock, Disk, Entropy, Failpoints, Network, Sink
from littoral.domain.release import Versions
from littoral.domain.response import ResponseStore
from littoral.domain.snapshot import Anchors
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.node.backoff import Patience
from littoral.node.fetching import Fetching
from littoral.node.gateway import Launch
from littoral.node.identity import Credentials, Identity, IdentityStore
from littoral.node.inventory import Surveyor
from littoral.node.machine import Host, text_of
from littoral.node.overheard import Overheard
from littoral.node.parts import NodeParts
from littoral.node.peers import Peering
from littoral.node.redial import FAR, NEAR
from littoral.node.renewal import Joined
from littoral.node.sensors import Sensors
from littoral.node.serve import serve
from littoral.node.start import Origin
from littoral.node.strain import Strain
from littoral.node.tending import Tools
from littoral.stores.blobs import DiskBlobs, watermark_of
from littoral.stores.disk import LocalDisk
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.stores.parts import DiskParts
from littoral.stores.responses import SqliteResponses
from littoral.telemetry.log import Log

ID_FILE = "node.json"
COUNTER = "run/node.sock"
"""Where people on this machine ask for errands."""
TAIL_BYTES = 65_536


def main() -> int:
    """Run a node until told to stop; returns its exit status."""
    left: list[bool] = []
    code = play(partial(_run, left))
    return EX_AGAIN if left and not code else code


async def _run(left: list[bool], given: Handed, stop: anyio.Event) -> None:
    """Serve; ``left`` is added to where another version shall take over."""

    def leave() -> None:
        left.append(True)
        stop.set()

    async with open_parts(given) as parts:
        await serve(_with_versions(parts, given.settings, leave), stop=stop)


def _with_versions(parts: NodeParts, settings: Settings, leave: Callable[[], None]) -> NodeParts:
    """A node that joined may come to another version; the one beside control goes with control."""
    if not parts.joined:
        return parts
    installer = VenvInstaller(settings.data_dir, parts.failpoints)
    return replace(parts, versions=Versions(installer=installer, leave=leave))


@asynccontextmanager
async def open_parts(given: Handed) -> AsyncGenerator[NodeParts]:
    """Open everything a node needs for as long as the context lasts."""
    settings = given.settings
    clock, entropy = SystemClock(), SystemEntropy()
    failpoints = SystemFailpoints(settings.failpoints)
    disk = LocalDisk(settings.data_dir)
    credentials = (store := IdentityStore(disk, failpoints)).read()
    _refuse_revoked(disk)
    overheard = Overheard(log := Log(to_stderr, clock=clock, role="node", level=settings.log_level))
    identity = _identity(settings, disk, credentials)
    count, api_socket = tables_of(settings), str(settings.path("run/control.sock"))
    with contextlib.ExitStack() as stack:
        flights = [stack.enter_context(flight_file(settings, each)) for each in range(count)]
        quota = stack.enter_context(quota_file(settings, mine=NODE, columns=count + 1))
        late = deferrals_of(settings, clock=clock, entropy=entropy, sink=overheard)
        kept = _responses(settings, clock, overheard)
        outbox = _outbox(settings, clock, failpoints, sink=overheard)
        async with outbox as opened, kept as responses, late as deferrals:
            yield NodeParts(
                identity=identity,
                network=_network(clock, entropy, failpoints, store=store, proxy=settings.proxy),
                pace=NEAR if credentials is None else FAR,
                session=_session(settings, credentials),
                registry=drivers(settings, entropy),
                blobs=(blobs := _blobs(settings, clock, failpoints)),
                fetching=_fetching(settings, credentials, blobs, failpoints=failpoints),
                outbox=opened,
                responses=responses,
                deferrals=deferrals,
                deferral_bounds=bounds_of(settings),
                disk=disk,
                clock=clock,
                chance=SystemChance(),
                failpoints=failpoints,
                sink=log,
                overheard=overheard,
                unpack=unpack,
                peering=_peering(clock, entropy, failpoints, store=store, settings=settings),
                tunnel=None if credentials is None else Doorway(api_socket),
                anchors=_anchors(disk, credentials),
                joined=credentials is not None,
                serve_unmetered=settings.serve_unmetered,
                flights=flights,
                quota=quota,
                gateways=_gateways(given, name=identity.name),
                machine=Host().read,
                strain=Strain().read,
                report=_report,
                patience=_patience(settings),
                tools=_tools(settings, credentials),
            )


def _patience(settings: Settings) -> Patience:
    return Patience(
        crashes=settings.crash_limit,
        longest_s=Seconds(settings.restart_max_s),
        drain_s=Seconds(settings.drain_s),
    )


def _identity(settings: Settings, disk: Disk, credentials: Credentials | None) -> Identity:
    """Who this node is: as it joined, else as it was named beside control."""
    entropy = SystemEntropy()
    boot = entropy.bytes(8).hex()
    if credentials is None:
        node = _node_id(disk, SystemClock().wall(), entropy.bytes(10))
        return Identity(node=node, name=settings.name, boot=boot, build=VERSION)
    joined = credentials.identity
    return Identity(node=joined.node, name=joined.name, boot=boot, build=VERSION)


def _anchors(disk: Disk, credentials: Credentials | None) -> Callable[[], Anchors | None]:
    """Whose snapshots to take: as control told at the joining, else as it writes down beside us."""
    if credentials is None:
        return partial(read_anchors, disk)
    anchors = credentials.anchors
    return lambda: anchors


def _fetching(
    settings: Settings,
    credentials: Credentials | None,
    blobs: DiskBlobs,
    *,
    failpoints: Failpoints,
) -> Fetching | None:
    """How artefacts come to this node; None where it shares control's disk."""
    if credentials is None:
        return None
    name = control_host(credentials.identity.cluster)
    store = IdentityStore(LocalDisk(settings.data_dir), failpoints)

    def trust() -> ssl.SSLContext:
        """The roots of now: they may have changed with the last renewal."""
        return ssl.create_default_context(cadata=(store.read() or credentials).ca)

    return Fetching(
        parts=DiskParts(str(settings.path("blobs")), blobs, failpoints=failpoints),
        downloads=LateDownloads(trust, name=name, proxy=settings.proxy),
        rebuild=LateRebuilder(blobs).rebuild,
        local=minute_of_day,
    )


def _network(
    clock: Clock, entropy: Entropy, failpoints: Failpoints, *, store: IdentityStore, proxy: str
) -> Network:
    """How control is reached: on this host, or over TLS with the certificate of the moment."""
    credentials = store.read()
    if credentials is None:
        return UnixNetwork()

    def is_apart() -> bool:
        """Whether this host's clock is outside the certificate's life: one of both is wrong."""
        life = (store.read() or credentials).life
        return not life.begin_us <= clock.wall() <= life.end_us

    def until() -> Micros:
        return (store.read() or credentials).life.end_us

    cluster = credentials.identity.cluster
    return towards_control(
        _shown(store, credentials),
        cluster=cluster,
        clock=clock,
        entropy=entropy,
        failpoints=failpoints,
        lenient=is_apart,
        holds=until,
        proxy=proxy,
    )


def _shown(store: IdentityStore, first: Credentials) -> Callable[[], Awaitable[Shown]]:
    """What this node shows: its certificate of the moment."""

    async def shown() -> Shown:
        await lowlevel.checkpoint()
        now = store.read() or first
        return Shown(chain=now.chain, key=now.key, roots=now.ca)

    return shown


def _peering(
    clock: Clock,
    entropy: Entropy,
    failpoints: Failpoints,
    *,
    store: IdentityStore,
    settings: Settings,
) -> Peering | None:
    """How other nodes are reached, and where they reach this one; None beside control."""
    credentials = store.read()
    if credentials is None:
        return None
    towards, serving = between_nodes(
        _shown(store, credentials),
        cluster=credentials.identity.cluster,
        clock=clock,
        entropy=entropy,
        failpoints=failpoints,
    )
    door = peer_door(settings.peer_listen)
    return Peering(
        towards=towards,
        serving=serving,
        listen=f"wss://{door}" if door else "",
        address=door,
    )


def _session(settings: Settings, credentials: Credentials | None) -> str:
    """Where control listens for this node's session."""
    if credentials is None:
        return str(settings.path("run/session.sock"))
    return credentials.identity.session_url


def _refuse_revoked(disk: Disk) -> None:
    """A node that was revoked serves nothing any more.

    Raises:
        Revoked: It was; the message says what to do.
    """
    told = disk.read(REVOKED)
    if told is not None:
        raise Revoked(told.decode("utf-8", "replace"))


def _tools(settings: Settings, credentials: Credentials | None) -> Tools:
    return Tools(
        inventory=Surveyor(settings.data_dir, build=VERSION, engines=installed).read,
        tail=partial(_tail, settings),
        probe=(prober := Prober(SystemClock())).probe,
        answer=prober.answer,
        joined=_joined(credentials, proxy=settings.proxy),
        here=(UnixNetwork(), str(settings.path(COUNTER))),
        sensors=Sensors(settings.data_dir).read,
        origin=_origin(),
    )


def _origin() -> Origin:
    """Which boot of the machine, and which run of the supervisor, this is part of."""
    boot = text_of(Path("/proc/sys/kernel/random/boot_id")).strip()
    return Origin(machine=boot, supervisor=f"{boot}:{os.getppid()}")


def _joined(credentials: Credentials | None, *, proxy: str) -> Joined | None:
    """What keeps the certificate of a node that joined; its HTTP client is loaded on first use."""
    if credentials is None:
        return None
    return Joined(
        credentials=credentials, registrar=LateRegistrar(proxy=proxy), entropy=SystemEntropy()
    )


def _tail(settings: Settings, role: str, lines: int) -> str:
    """The last lines of a process's log; ``role`` is a checked name."""
    try:
        with settings.path("logs", f"{role}.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = log.read(TAIL_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UnknownName(f"there is no log of {role!r} here: {error.strerror}") from error
    return "\n".join(text.splitlines()[-lines:])


def _blobs(settings: Settings, clock: Clock, failpoints: Failpoints) -> DiskBlobs:
    """Artefacts: what is fetched leaves a tenth of the disk to what must be written down."""
    disk = os.statvfs(settings.data_dir)
    left = watermark_of(Bytes(disk.f_blocks * disk.f_frsize))
    root = str(settings.path("blobs"))
    return DiskBlobs(root, clock=clock, failpoints=failpoints, watermark=left)


def _outbox(
    settings: Settings, clock: Clock, failpoints: Failpoints, *, sink: Sink
) -> AbstractAsyncContextManager[SqliteOutbox]:
    return SqliteOutbox.open(
        str(settings.path("outbox.db")),
        clock=clock,
        entropy=SystemEntropy(),
        failpoints=failpoints,
        sink=sink,
        tuning=_tuning(settings),
    )


def _tuning(settings: Settings) -> Tuning:
    """How much of the disk the outbox may take, and how long its rows wait for each other."""
    disk = os.statvfs(settings.data_dir)
    most = min(settings.outbox_mib * 1024 * 1024, disk.f_blocks * disk.f_frsize // 10)
    return Tuning(quota=Bytes(most), window_s=Seconds(settings.commit_window_ms / 1000))


def _responses(
    settings: Settings, clock: Clock, sink: Sink
) -> AbstractAsyncContextManager[ResponseStore]:
    path, most = str(settings.path("responses.db")), settings.responses_mib * 1024 * 1024
    return SqliteResponses.open(path, clock=clock, sink=sink, most=Bytes(most))


def _gateways(given: Handed, *, name: str) -> list[Launch]:
    """The gateways, which say in each answer that this node gave it."""
    settings = replace(given.settings, name=name)
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
