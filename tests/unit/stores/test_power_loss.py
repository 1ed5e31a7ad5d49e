"""What is on the disk if the power fails right now.

``kill -9`` cannot tell safe from unsafe durability: the kernel keeps what a dead process wrote.
Here every write, truncate, sync and delete of the real outbox is recorded, and each
acknowledgement. From a random point of that history an image of the disk is built: what was synced
is there; what was not may be missing, complete, or torn at 512 bytes, in any combination. The
outbox is opened on the image: it must be sound and hold every acknowledged record under its number.

Limits: a model, not a file system. Deletes and new names count as durable at once, each file is cut
on its own, and a drive that lies about its cache is not modelled.
"""

import random  # noqa: TID251  repeatable by its seed
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import anyio
import apsw
import pytest

from littoral.domain.outbox import Row
from littoral.domain.units import Bytes
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import OutboxFile, Tuning, World
from littoral.stores.outbox_rows import OutboxRows
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.sink import ListSink
from littoral.testing.usage import is_stored, usage_record

SECTOR = 512
FULL, NORMAL = 2, 1
PER_RUN = 50
DATABASE = "outbox.db"


@dataclass(frozen=True, slots=True)
class Event:
    """One action on one file, or a promise to a caller; ``offset`` is a truncate's new size."""

    action: Literal["write", "truncate", "sync", "delete", "acked", "stored"]
    file: str = ""
    offset: int = 0
    data: bytes = b""
    numbers: dict[str, int] = field(default_factory=dict)


class RecordedFile(apsw.VFSFile):
    def __init__(self, log: list[Event], name: str | apsw.URIFilename, flags: list[int]) -> None:
        self.log = log
        self.label = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        super().__init__("unix", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.log.append(Event("write", self.label, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.log.append(Event("truncate", self.label, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self.log.append(Event("sync", self.label))


class Recorder(apsw.VFS):
    def __init__(self, log: list[Event]) -> None:
        self.log = log
        super().__init__("recorder", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename, flags: list[int]) -> RecordedFile:  # noqa: N802
        return RecordedFile(self.log, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802
        self.log.append(Event("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


@contextmanager
def recording() -> Iterator[list[Event]]:
    log: list[Event] = []
    before = apsw.vfs_names()[0]
    recorder = Recorder(log)
    try:
        yield log
    finally:
        recorder.unregister()
        assert apsw.vfs_names()[0] == before


def world() -> World:
    return World(
        clock=SettableClock(),
        entropy=SeededEntropy(),
        failpoints=ArmedFailpoints(),
        sink=ListSink(),
    )


async def workload(folder: str, log: list[Event], rng: random.Random, synchronous: int) -> None:
    """Four callers append one to five records at a time; some are stored; one restart."""
    frames = rng.choice((4, 20, 160))
    tuning = Tuning(synchronous=synchronous, checkpoint_frames=frames, ballast=Bytes(4096))
    parts = world()

    async def caller(outbox: SqliteOutbox, name: str) -> None:
        for step in range(8):
            records = [
                usage_record(f"{name}/{step}/{n}", model="m" * rng.randrange(1, 400))
                for n in range(rng.randrange(1, 6))
            ]
            last = await outbox.append(records)
            first = last - len(records) + 1
            numbers = {each.request: first + n for n, each in enumerate(records)}
            log.append(Event("acked", numbers=numbers))
            upto = rng.randrange(first)
            if rng.random() < 0.2 and upto > max(
                (e.offset for e in log if e.action == "stored"), default=0
            ):
                log.append(Event("stored", offset=upto))
                await is_stored(outbox, upto, safe=True)

    for start in range(2):
        async with (
            SqliteOutbox.open(
                f"{folder}/{DATABASE}",
                clock=parts.clock,
                entropy=parts.entropy,
                failpoints=parts.failpoints,
                sink=parts.sink,
                tuning=tuning,
            ) as outbox,
            anyio.create_task_group() as group,
        ):
            for task in range(4):
                group.start_soon(caller, outbox, f"{start}/{task}")


def stored_upto(log: list[Event]) -> int:
    return max((event.offset for event in log if event.action == "stored"), default=0)


def apply(files: dict[str, bytearray], event: Event) -> None:
    content = files.setdefault(event.file, bytearray())
    if event.action == "truncate":
        del content[event.offset :]
        return
    content.extend(bytes(max(0, event.offset - len(content))))
    content[event.offset : event.offset + len(event.data)] = event.data


def image(log: list[Event], rng: random.Random) -> dict[str, bytearray]:
    """The files as a power cut at the end of ``log`` might leave them."""
    files: dict[str, bytearray] = {}
    unsynced: dict[str, list[Event]] = {}
    for event in log:
        match event.action:
            case "sync":
                for earlier in unsynced.pop(event.file, []):
                    apply(files, earlier)
            case "delete":
                files.pop(event.file, None)
                unsynced.pop(event.file, None)
            case "write" | "truncate":
                unsynced.setdefault(event.file, []).append(event)
            case _:
                pass
    for events in unsynced.values():
        fate, kept = rng.choice(("none", "all", "some", "prefix")), rng.randrange(len(events) + 1)
        for index, event in enumerate(events):
            gone = {"none": True, "all": False, "prefix": index >= kept}
            if gone.get(fate, rng.random() < 0.5):
                continue
            torn = event.action == "write" and fate != "all" and rng.random() < 0.3
            cut = rng.randrange(len(event.data) // SECTOR + 1) * SECTOR if torn else None
            apply(files, Event(event.action, event.file, event.offset, event.data[:cut]))
    return files


def examine(log: list[Event], files: dict[str, bytearray]) -> tuple[int, str]:
    """How many acknowledged records an image lost, and what else is wrong with it."""
    promised: dict[str, int] = {}
    for event in log:
        promised |= event.numbers
    stored = stored_upto(log)
    parts = world()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        path = f"{folder}/{DATABASE}"
        tuning = Tuning(ballast=Bytes(4096))
        file = OutboxFile(path, world=parts, tuning=tuning)
        file.open()
        rows = every_row(OutboxRows(file, path, world=parts, tuning=tuning), stored)
        last = file.lanes["ledger"].last
        file.close()
    present = {row.usage.request: row.seq for row in rows if row.usage is not None}
    wrong = [event.code for event in parts.sink.events]
    wrong += ["doubled"] if len(present) != len(rows) else []
    kept = {name: seq for name, seq in promised.items() if seq > stored}
    lost = sum(name not in present for name in kept)
    if not lost:
        wrong += [f"moved {name}" for name, seq in kept.items() if present[name] != seq]
        wrong += ["numbers used again"] if last < max(promised.values(), default=0) else []
    return lost, ", ".join(wrong)


def every_row(outbox: OutboxRows, after: int) -> list[Row]:
    found: list[Row] = []
    while rows := outbox.read("ledger", after, 500).rows:
        found += rows
        after = rows[-1].seq
    return found


def memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


def cut_power(images: int, synchronous: int, seed: int) -> tuple[int, list[str]]:
    """Images that lost acknowledged records, and what was wrong with any."""
    rng = random.Random(seed)  # noqa: S311
    lossy, wrong = 0, []
    for _ in range(images // PER_RUN):
        with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, recording() as log:
            anyio.run(workload, folder, log, rng, synchronous)
        first = next(index for index, event in enumerate(log) if event.action == "acked")
        for _ in range(PER_RUN):
            history = log[: rng.randrange(first + 1, len(log) + 1)]
            lost, problem = examine(history, image(history, rng))
            lossy += lost > 0
            wrong += [problem] if problem else []
    return lossy, wrong


def test_a_few_images_lose_nothing():
    assert cut_power(images=PER_RUN, synchronous=FULL, seed=11) == (0, [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_images_lose_and_double_nothing():
    assert cut_power(images=1000, synchronous=FULL, seed=7) == (0, [])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_a_sync_for_each_commit_the_same_images_show_losses():
    lossy, _ = cut_power(images=1000, synchronous=NORMAL, seed=7)
    assert lossy > 100
