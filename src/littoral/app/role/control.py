"""``littoral control``: the admin API and the sessions of nodes."""

import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import anyio

from littoral.app.anchors import write_anchors
from littoral.app.channel import UnixNetwork
from littoral.app.codec import pack
from littoral.app.doors import doors_of
from littoral.app.handed import Handed
from littoral.app.link.remote import remote
from littoral.app.play import play
from littoral.app.role.world import drivers, to_stderr
from littoral.app.settings import Settings
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.app.tube import Hatch
from littoral.app.version import VERSION
from littoral.control.event import Events
from littoral.control.serve import serve
from littoral.control.signer import Signer
from littoral.control.site import first_start, load_site
from littoral.control.vault import Vault
from littoral.control.world import ControlParts
from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Disk, Entropy, Failpoints
from littoral.jobs.catalogue import CATALOGUE
from littoral.jobs.obtain import Obtaining, World
from littoral.node.previous import kept_beside
from littoral.stores.blobs import DiskBlobs
from littoral.stores.chunks import SqliteChunks
from littoral.stores.disk import LocalDisk
from littoral.stores.inbox import SqliteInbox
from littoral.stores.ledger import SqliteLedger
from littoral.stores.state import SqliteState
from littoral.telemetry.log import Log

STATE_FILE, LEDGER_FILE, NEWS_FILE = "control.db", "ledger.db", "telemetry.db"
RECORDS_FILE = "records.db"
KEY_FILE = "master.key"
KEY_BYTES = 32
ADMIN_FILE = "admin.key"


def main() -> int:
    """Run control until told to stop; returns its exit status."""
    return play(_run)


async def _run(given: Handed, stop: anyio.Event) -> None:
    settings = given.settings
    with open_parts(settings) as (parts, obtaining):
        async with anyio.create_task_group() as group:

            async def stopper() -> None:
                await stop.wait()
                group.cancel_scope.cancel()

            group.start_soon(stopper)
            group.start_soon(obtaining.run)
            await serve(
                parts,
                api_socket=str(settings.path("run/control.sock")),
                session_address=str(settings.path("run/session.sock")),
            )


@contextmanager
def open_parts(settings: Settings) -> Generator[tuple[ControlParts, Obtaining]]:
    """Open everything control needs for as long as the context lasts; make what is missing."""
    clock, entropy = SystemClock(), SystemEntropy()
    failpoints = SystemFailpoints(settings.failpoints)
    log = Log(to_stderr, clock=clock, role="control", level=settings.log_level)
    disk = LocalDisk(settings.data_dir)
    master_key = _master_key(disk, entropy, first=not settings.path(STATE_FILE).exists())
    with ExitStack() as stack:
        state, ledger, inbox = _stores(settings, failpoints, stack)
        vault = Vault(master_key, entropy)
        first_start(state, vault, clock=clock, entropy=entropy, disk=disk, admin_file=ADMIN_FILE)
        signer = Signer(state, vault, clock=clock, entropy=entropy)
        write_anchors(disk, signers=signer.keys.publics, cluster=load_site(state, vault).cluster)
        events = Events(inbox)
        at = str(settings.path(RECORDS_FILE))
        chunks = stack.enter_context(SqliteChunks.open(at, clock=clock, sink=events))
        blobs = DiskBlobs(str(settings.path("blobs")), clock=clock, failpoints=failpoints)
        obtaining = Obtaining(
            World(
                state=state,
                blobs=blobs,
                source=(registry := drivers(settings, entropy)).source,
                scratch=str(settings.path("scratch")),
                sink=events,
                clock=clock,
            )
        )
        parts = ControlParts(
            state=state,
            ledger=ledger,
            inbox=inbox,
            chunks=chunks,
            blobs=blobs,
            obtainer=obtaining,
            registry=registry,
            network=UnixNetwork(),
            clock=clock,
            entropy=entropy,
            failpoints=failpoints,
            events=events,
            report=_reporter(log),
            catalogue=CATALOGUE,
            master_key=master_key,
            pack=pack,
            build=VERSION,
            remote=remote(clock=clock, entropy=entropy, failpoints=failpoints),
            beside=lambda: kept_beside(disk, clock.wall()),
            tunnel=Hatch(str(settings.path("run/control.sock"))),
            doors=doors_of(settings.nodes_listen, settings.nodes_url, settings.session_listen),
        )
        yield parts, obtaining


def _stores(
    settings: Settings, failpoints: Failpoints, stack: ExitStack
) -> tuple[SqliteState, SqliteLedger, SqliteInbox]:
    at = {name: str(settings.path(name)) for name in (STATE_FILE, LEDGER_FILE, NEWS_FILE)}
    return (
        stack.enter_context(SqliteState.open(at[STATE_FILE], failpoints=failpoints)),
        stack.enter_context(SqliteLedger.open(at[LEDGER_FILE], failpoints=failpoints)),
        stack.enter_context(SqliteInbox.open(at[NEWS_FILE], failpoints=failpoints)),
    )


def _master_key(disk: Disk, entropy: Entropy, *, first: bool) -> bytes:
    """The key that seals what is secret at rest, made on the first start and never again."""
    kept = disk.read(KEY_FILE)
    if kept is None and first:
        kept = entropy.bytes(KEY_BYTES)
        disk.write(KEY_FILE, kept)
    if kept is None or len(kept) != KEY_BYTES:
        raise InvalidInput(
            f"{KEY_FILE} is missing or damaged, and {STATE_FILE} cannot be read without it: put "
            "the file back, or begin with an empty data folder"
        )
    return kept


def _reporter(log: Log) -> Callable[[str, BaseException], None]:
    def report(what: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        line = f"{what}: {error!r}"
        log.log("error", line, {"error.stack_trace": trace})

    return report
