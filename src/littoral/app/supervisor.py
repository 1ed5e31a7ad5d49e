"""The supervisor: holds the data folder and the public socket, and keeps control and node running.

Where the folder is that of a node that joined a cluster, control is elsewhere: only the node runs.

Standard library only, and small: it must outlive everything else. Children are told their settings
in one line on standard input, which then stays open: its end tells them that we are gone. They hold
the lock too, so a second instance cannot start while one of the first still runs. What the node
writes to standard output, a JSON object a line, is role and pid of its own children.
"""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import cast

from littoral.app.child import NEVER, Child, Spawn
from littoral.app.settings import Settings
from littoral.app.system import SystemChance, SystemClock, environment
from littoral.app.version import VERSION
from littoral.domain.enrolment import CARD, FOLDER
from littoral.domain.errors import Busy, InvalidInput, LittoralError, NewerData
from littoral.domain.units import Seconds

FORMAT = 1
"""Version of the data folder's layout; a folder of a newer one is refused."""
BACKLOG = 4096
STOP_NODE = Seconds(4.0)
"""Added to the drain time: for the node to book and flush what the gateway left."""
STOP_CONTROL = Seconds(4.0)
LOCK_WAIT = Seconds(12.0)
"""How long the children of a supervisor that was killed may take to end."""
STATUS_RETRY = Seconds(1.0)
"""After this the status is written again, where the disk had no room for it."""
NEUTRAL = frozenset({"run", "logs", "lost+found", FOLDER})
"""What may stand in a folder that becomes a data folder."""
EX_AGAIN = 75
"""A node that exits with this status asks for everything to be started anew, as what is current."""
EX_REFUSED = 2
"""A child that exits with this status would be refused again: it is not restarted."""


def run(settings: Settings) -> int:
    """Run everything in the foreground until a signal ends it.

    Args:
        settings: How.

    Returns:
        The exit status: 0 after an orderly stop, 1 where a child had to be killed for it,
        ``EX_AGAIN`` where another version shall take over.

    Raises:
        Busy: Another instance has the data folder or the port.
        NewerData: A newer version wrote the data folder.
        LittoralError: A child refused to start; the message is its last word.
    """
    with _locked(settings) as lock, _listening(settings) as listeners:
        return _Supervisor(settings, lock=lock, listeners=listeners).run()


def status(settings: Settings) -> dict[str, object] | None:
    """What the running instance wrote down of itself; None where none runs.

    Children whose supervisor was killed hold the lock until they have ended: that is none, too.
    """
    try:
        descriptor = os.open(settings.path("run/lock"), os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = settings.path("run/status.json").read_text("utf-8")
        told = cast("dict[str, object]", json.loads(text))
        return told if _alive(str(told["pid"])) else None
    finally:
        os.close(descriptor)
    return None


def make_folder(settings: Settings) -> Path:
    """Make the data folder, for its owner only, where it is not there yet.

    Raises:
        InvalidInput: It cannot be made, or holds something else.
    """
    folder = settings.path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {entry.name for entry in folder.iterdir()}
        if "format" not in found and not found <= NEUTRAL:
            raise InvalidInput(
                f"{folder} is no data folder of Littoral and not empty: choose a new or an empty "
                "one with --data-dir",
                param="data_dir",
            )
        folder.chmod(0o700)
        for name in ("run", "logs"):
            folder.joinpath(name).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{folder} cannot be used as data folder: {error.strerror}; choose another --data-dir",
            param="data_dir",
        ) from error
    return folder


def is_joined(settings: Settings) -> bool:
    """Whether this data folder is that of a node that joined: control is elsewhere then.

    Raises:
        InvalidInput: It holds control's data, too.
    """
    if not settings.path(CARD).exists():
        return False
    if settings.path("control.db").exists():
        raise InvalidInput(
            f"{settings.data_dir} holds both control's data and the identity of a node that "
            "joined another: choose another --data-dir for one of them",
            param="data_dir",
        )
    return True


@contextlib.contextmanager
def _locked(settings: Settings) -> Generator[int]:
    """Make the data folder ours, or say whose it is."""
    folder = make_folder(settings)
    lock = os.open(folder / "run/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(lock, folder)
        os.truncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        check_format(folder)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, folder: Path) -> None:
    clock = SystemClock()
    deadline = clock.now() + LOCK_WAIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode() or "?"
            if _alive(holder) or clock.now() > deadline:
                raise Busy(
                    f"another instance (pid {holder}) uses {folder}: stop it with "
                    f"'littoral down --data-dir {folder}', or choose another --data-dir"
                ) from None
            select.select([], [], [], 0.1)
        else:
            return


def _alive(pid: str) -> bool:
    """Whether a process of this id runs; one that only waits to be buried does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def check_format(folder: Path) -> None:
    """See that the layout of a data folder is one that this version knows.

    Raises:
        NewerData: It is that of a newer one, or none of ours.
    """
    file = folder / "format"
    try:
        found = int(file.read_text("ascii"))
    except FileNotFoundError:
        file.write_text(f"{FORMAT}\n", "ascii")
        return
    except ValueError:
        raise NewerData(f"{file} holds no number: this is not a data folder of ours") from None
    if found > FORMAT:
        raise NewerData(
            f"{folder} was written by a newer version (layout {found}; this one, {VERSION}, knows "
            f"{FORMAT}): install the newer version again, or choose another --data-dir"
        )


@contextlib.contextmanager
def _listening(settings: Settings) -> Generator[Sequence[socket.socket]]:
    """Take the public address before anything is started, once for each gateway.

    The kernel spreads new connections over sockets of one address that all wish to share it. The
    first is bound without that wish, since it must not share the address of another instance.
    """
    shared, port = settings.gateway_workers > 1, settings.port
    with contextlib.ExitStack() as stack:
        if shared:
            with _bound(settings, port, shared=False) as probe:
                port = cast("tuple[str, int]", probe.getsockname())[1]
        listeners = [
            stack.enter_context(_bound(settings, port, shared=shared))
            for _ in range(settings.gateway_workers)
        ]
        for listener in listeners:
            listener.listen(BACKLOG)
        yield listeners


def _bound(settings: Settings, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((settings.host, port))
    except OSError as error:
        listener.close()
        raise Busy(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}. Choose "
            "another --port (0 takes any free one), or find who has it with: "
            f"ss -ltnp 'sport = :{settings.port}'"
        ) from error
    return listener


class _Supervisor:
    """Children, and the loop that watches them.

    Args:
        settings: How to run.
        lock: The data folder's lock, handed to the children.
        listeners: The public sockets, one for each gateway, handed to the node.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        lock: int,
        listeners: Sequence[socket.socket],
    ) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._signals = 0
        self._again = False
        self._told = ""
        self._stale = NEVER
        address = cast("tuple[str, int]", listeners[0].getsockname())
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        scheme = "https" if settings.tls_certificate else "http"
        self._url = f"{scheme}://{host}:{address[1]}"
        spawn = Spawn(
            settings=settings,
            clock=self._clock,
            chance=SystemChance(),
            environment=environment(),
        )
        sockets = {f"listen{at}": each.fileno() for at, each in enumerate(listeners)}
        self._node = Child("node", spawn, descriptors={"lock": lock, **sockets})
        self._children = (self._node,)
        if not is_joined(settings):
            control = Child("control", spawn, descriptors={"lock": lock})
            self._children = (control, self._node)

    def run(self) -> int:
        """Run until a signal, then stop in order: first the node, then control."""
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)  # noqa: FBT003  socket has no keyword for it
        before = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        try:
            refused: LittoralError | None = None
            while not self._signals and not self._again and refused is None:
                refused = self._tend()
                due = min(child.due for child in self._children)
                self._wait(wake, until=min(due, self._stale))
            code = self._stop(wake)
            if refused is not None:
                raise refused
            return EX_AGAIN if self._again and not self._signals else code
        finally:
            for child in reversed(self._children):
                child.kill()
            signal.set_wakeup_fd(before)
            wake.close()
            woken.close()
            self._settings.path("run/status.json").unlink(missing_ok=True)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signals += 1

    def _tend(self) -> LittoralError | None:
        """Restart what ended and is due; returns why a child refused to run at all."""
        for child in self._children:
            code = child.ended()
            if code == EX_REFUSED:
                return LittoralError(child.last_words())
            if code == EX_AGAIN:
                self._again = True
                return None
            if child.due <= self._clock.now():
                child.start()
        self._write_status()
        return None

    def _wait(self, wake: socket.socket, *, until: Seconds) -> None:
        """Sleep until a signal, a line from the node, or the time of the next restart."""
        waiting = [wake, *(pipe for pipe in (self._node.output,) if pipe is not None)]
        timeout = max(0.0, until - self._clock.now())
        ready, _, _ = select.select(waiting, [], [], min(timeout, 3600.0 if self._told else 1.0))
        if wake in ready:
            wake.recv(4096)
        if self._node.output in ready:
            self._node.read()

    def _write_status(self) -> None:
        """Keep run/status.json true; a disk without room for it stops nothing."""
        own = [{"role": "supervisor", "pid": os.getpid()}]
        own += [child.row for child in self._children if child.row["pid"]]
        found: dict[str, object] = {
            "pid": os.getpid(),
            "url": self._url,
            "certificate": self._settings.tls_certificate,
            "version": VERSION,
            "data_dir": self._settings.data_dir,
            "processes": own + self._node.children,
        }
        text = json.dumps(found)
        if text == self._told:
            return
        file = self._settings.path("run/status.json")
        part = file.with_suffix(".part")
        try:
            part.write_text(text, "utf-8")
            part.replace(file)
        except OSError:
            self._stale = Seconds(self._clock.now() + STATUS_RETRY)
            return
        self._told = text
        self._stale = NEVER

    def _stop(self, wake: socket.socket) -> int:
        """End the node, then control; a second signal ends both at once."""
        killed = False
        for child in reversed(self._children):
            drains = child is self._node
            seconds = self._settings.drain_s + STOP_NODE if drains else STOP_CONTROL
            child.stop()
            deadline = Seconds(self._clock.now() + seconds)
            while child.running and self._clock.now() < deadline and self._signals < 2:
                self._wait(wake, until=deadline)
            killed |= child.running
            child.kill()
        return int(killed)
