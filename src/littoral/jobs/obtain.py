"""Obtaining: makes model versions present, in the background, and remembers how far it is."""

import errno
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias, final

import anyio
import anyio.to_thread
import msgspec

from littoral.domain.errors import Damaged, LittoralError, StorageFull
from littoral.domain.ids import checked_name
from littoral.domain.model import (
    WEIGHTS,
    Artefact,
    FileSpec,
    Phase,
    SideFile,
    VersionSpec,
    VersionStatus,
)
from littoral.domain.node import Event
from littoral.domain.ports import Blobs, Clock, Sink, Source, State
from littoral.domain.units import Bytes
from littoral.jobs.intake import take_beside, take_in

Name: TypeAlias = tuple[str, str]

PREFIX = "version/"
AT_ONCE = 2
UNDER_WAY: tuple[Phase, ...] = ("pending", "fetching", "checking")
CANCELLED = "cancelled; pull it again to go on"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is remembered of a version: what was asked for, and how far it is.

    ``pin`` is the sha256 of the first file that came: where the spec has none, no other will do.
    """

    spec: VersionSpec
    status: VersionStatus
    pin: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What obtaining needs.

    Args:
        state: Remembers every version under ``version/<model>/<version>``.
        blobs: Where verified weights go.
        source: Gives the source of a scheme; raises ``UnknownName`` where there is none.
        scratch: Folder for what is fetched so far.
        sink: Takes what people should know.
        clock: For the time of events.
    """

    state: State
    blobs: Blobs
    source: Callable[[str], Source]
    scratch: str
    sink: Sink
    clock: Clock


@final
class Obtaining:
    """The port ``Obtainer``. Its methods belong to the event loop that ``run`` runs on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._entries: dict[Name, Entry] | None = None
        self._scopes: dict[Name, anyio.CancelScope] = {}
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Obtain what was started, now and before the last stop, until cancelled."""
        limiter = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            while True:
                self._changed = anyio.Event()
                for name, entry in self._known().items():
                    if entry.status.phase in UNDER_WAY and name not in self._scopes:
                        self._scopes[name] = anyio.CancelScope()
                        group.start_soon(self._work, name, entry, limiter)
                await self._changed.wait()

    def start(self, model: str, version: VersionSpec) -> None:
        """Begin or resume in the background; a version that is present or under way is left."""
        name = (checked_name(model, what="model"), checked_name(version.name, what="version"))
        entry = self._known().get(name)
        same = entry if entry is not None and entry.spec == version else None
        if same is not None and self._is_settled(same):
            return
        self._stop(name)
        status = VersionStatus(
            model=model, version=version.name, phase="pending", total=version.size
        )
        pin = same.pin if same is not None else None
        self._put(name, Entry(spec=version, status=status, pin=pin))

    def cancel(self, model: str, version: str) -> None:
        """Stop it; what was fetched stays for a later start."""
        name = (model, version)
        entry = self._known().get(name)
        if entry is not None and entry.status.phase in UNDER_WAY:
            self._stop(name)
            failed = replace(entry.status, phase="failed", error=CANCELLED)
            self._put(name, replace(entry, status=failed))

    def forget(self, model: str, version: str) -> None:
        """Stop it and drop its status and what was fetched so far; blobs are left."""
        name = (model, version)
        if self._known().pop(name, None) is not None:
            self._world.state.put_value(_key(name), None)
        self._stop(name)
        if name not in self._scopes:
            shutil.rmtree(self._folder(name), ignore_errors=True)

    def statuses(self) -> Iterable[VersionStatus]:
        """Every version ever started, by model and version."""
        return [entry.status for _, entry in sorted(self._known().items(), key=lambda it: it[0])]

    def _known(self) -> dict[Name, Entry]:
        """Every entry; read from the state on first use, what was under way to begin again."""
        if self._entries is None:
            present = frozenset(self._world.blobs.list())
            self._entries = {}
            for key, value in self._world.state.values(PREFIX).items():
                entry = _decoded(key, value)
                status = entry.status
                if status.phase in UNDER_WAY:
                    status = replace(status, phase="pending")
                elif status.artefact is not None and not present.issuperset(
                    status.artefact.digests
                ):
                    error = "its weights are gone from this disk; pull it again"
                    status = replace(status, phase="failed", artefact=None, error=error)
                self._entries[status.model, status.version] = replace(entry, status=status)
        return self._entries

    def _is_settled(self, entry: Entry) -> bool:
        """Whether it is under way, or present."""
        artefact = entry.status.artefact
        present = artefact is not None and set(artefact.digests) <= set(self._world.blobs.list())
        return entry.status.phase in UNDER_WAY or present

    def _put(self, name: Name, entry: Entry) -> None:
        self._known()[name] = entry
        self._world.state.put_value(_key(name), msgspec.json.encode(entry))
        self._changed.set()

    def _stop(self, name: Name) -> None:
        if name in self._scopes:
            self._scopes[name].cancel()

    def _folder(self, name: Name) -> Path:
        return Path(self._world.scratch, *name)

    async def _work(self, name: Name, entry: Entry, limiter: anyio.CapacityLimiter) -> None:
        step = Step(name=name, entry=entry, scope=self._scopes[name], report=self._report)
        try:
            with step.scope:
                async with limiter:
                    await self._attempt(step)
        finally:
            del self._scopes[name]
            if name not in self._known():
                shutil.rmtree(self._folder(name), ignore_errors=True)
            self._changed.set()

    def _report(self, step: "Step", status: VersionStatus, *, durable: bool) -> None:
        """Take what a step says, unless it was stopped or something else is wanted by now."""
        entry = self._known().get(step.name)
        if entry is None or entry.spec != step.asked or step.scope.cancel_called:
            return
        artefact = status.artefact
        pin = entry.pin if artefact is None else artefact.digest.removeprefix("sha256:")
        entry = replace(entry, status=status, pin=pin)
        if durable:
            self._put(step.name, entry)
        else:
            self._known()[step.name] = entry

    async def _attempt(self, step: "Step") -> None:
        try:
            await self._obtain(step)
        except LittoralError as error:
            why = error.message
        except OSError as error:
            full = error.errno in FULL
            why = "the disk is full" if full else error.strerror or type(error).__name__
        except Exception as error:  # noqa: BLE001  a job's step: one bad file must not end the rest
            why = f"internal error ({type(error).__name__})"
        else:
            self._tell(step, "model.ready", "is here and checked")
            return
        step.move("failed", error=why)
        self._tell(step, "model.failed", why)

    async def _obtain(self, step: "Step") -> None:
        spec, blobs, folder = step.spec, self._world.blobs, self._folder(step.name)
        await anyio.Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        step.move("fetching")
        step.check_room(step.size, blobs)
        beside: list[SideFile] = []
        for file in spec.files:
            if file.name != WEIGHTS:
                async with aclosing(self._pieces(step, [file])) as pieces:
                    beside.append(await take_beside(pieces, file, blobs=blobs))
        parts = [spec, *(file for file in spec.files if file.name == WEIGHTS)]
        async with aclosing(self._pieces(step, parts)) as pieces:
            artefact = await take_in(pieces, spec, blobs=blobs)
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True))
        step.finish(replace(artefact, files=tuple(beside)))

    async def _pieces(self, step: "Step", files: Sequence[FileSpec]) -> AsyncGenerator[bytes]:
        """Fetch files one after the other, and give them as one stream."""
        blobs = self._world.blobs

        def progress(done: int, total: int | None) -> None:
            if total is not None and step.status.total is None:
                step.check_room(total, blobs)
            step.advance(done, total)

        for file in files:
            folder = self._folder(step.name) / step.place_of(file)
            await anyio.Path(folder).mkdir(mode=0o700, exist_ok=True)
            step.move("fetching")
            source = self._world.source(file.source.partition(":")[0])
            async with source.fetch(file, scratch=str(folder), progress=progress) as pieces:
                step.move("checking")
                async for piece in pieces:
                    yield piece
            step.has(file)

    def _tell(self, step: "Step", code: str, text: str) -> None:
        model, version = step.name
        self._world.sink.emit(
            Event(
                at_us=self._world.clock.wall(),
                level="error" if step.status.phase == "failed" else "info",
                subject=f"{model}@{version}",
                code=code,
                message=f"model {model}@{version}: {text}",
            )
        )


class Report(Protocol):
    """Takes the status of a step."""

    def __call__(self, step: "Step", status: VersionStatus, *, durable: bool) -> None:
        """Take it; only where ``durable`` must it outlive us."""
        ...


@final
class Step:
    """Obtaining one version: how far it is, told at every move."""

    def __init__(
        self, *, name: Name, entry: Entry, scope: anyio.CancelScope, report: Report
    ) -> None:
        spec = entry.spec
        self.name = name
        self.asked = spec
        self.spec = spec if spec.files else replace(spec, sha256=spec.sha256 or entry.pin)
        sizes = [file.size for file in (spec, *spec.files)]
        known = [size for size in sizes if size is not None]
        self.size = Bytes(sum(known)) if len(known) == len(sizes) else None
        self.scope = scope
        self._report = report
        self._before = 0
        self.status = VersionStatus(
            model=name[0], version=name[1], phase="pending", total=self.size
        )

    def place_of(self, file: FileSpec) -> str:
        """The folder of a file within the version's: files from one source share one."""
        place = [each.source for each in (self.spec, *self.spec.files)].index(file.source)
        return str(place) if place else "."

    def has(self, file: FileSpec) -> None:
        """A file is there, and the next one begins."""
        self._before += file.size or 0

    def move(self, phase: Phase, *, error: str | None = None) -> None:
        """Enter a phase."""
        self._set(replace(self.status, phase=phase, error=error), durable=True)

    def advance(self, done: int, total: int | None) -> None:
        """Take the bytes fetched so far, of how many where that is known."""
        known = self.size or (None if self.spec.files else total)
        shown = self._before + done
        shown = shown if known is None else min(shown, known)
        total = None if known is None else Bytes(known)
        self._set(replace(self.status, done=Bytes(shown), total=total), durable=False)

    def finish(self, artefact: Artefact) -> None:
        """It is there."""
        size = self.size or artefact.size
        ready = replace(self.status, phase="ready", done=size, total=size, artefact=artefact)
        self._set(ready, durable=True)

    def check_room(self, size: int | None, blobs: Blobs) -> None:
        """Raise ``StorageFull`` where the disk has no room for scratch and blob together."""
        files = (self.spec, *self.spec.files)
        copies = 1 if all(file.source.startswith("file:") for file in files) else 2
        free = blobs.free()
        if size is not None and copies * size > free:
            raise StorageFull(
                f"{copies * size} bytes are needed on the disk while it is fetched; {free} are free"
            )

    def _set(self, status: VersionStatus, *, durable: bool) -> None:
        self.status = status
        self._report(self, status, durable=durable)


def _key(name: Name) -> str:
    return PREFIX + "/".join(name)


def _decoded(key: str, value: bytes) -> Entry:
    try:
        return msgspec.json.decode(value, type=Entry)
    except msgspec.MsgspecError as error:
        raise Damaged(f"the stored status {key!r} cannot be read") from error
