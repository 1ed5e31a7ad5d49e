"""An outbox file to open again and again, and a disk below SQLite that fails."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from littoral.domain.units import Bytes
from littoral.stores.outbox import SqliteOutbox
from littoral.stores.outbox_file import Tuning
from littoral.testing.clock import SettableClock
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.faults import Faults, faulty_disk
from littoral.testing.sink import ListSink
from littoral.testing.usage import usage_record, usage_rows

SMALL = Tuning(ballast=Bytes(64 * 1024), checkpoint_frames=12)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def faults() -> Iterator[Faults]:
    with faulty_disk() as faults:
        yield faults


class Bench:
    """Opens one outbox file again and again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = SettableClock()
        self.entropy = SeededEntropy()
        self.failpoints = ArmedFailpoints()
        self.sink = ListSink()

    def files(self) -> list[Path]:
        return list(self.path.parent.iterdir())

    def beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def open(self, tuning: Tuning = SMALL) -> AbstractAsyncContextManager[SqliteOutbox]:
        return SqliteOutbox.open(
            str(self.path),
            clock=self.clock,
            entropy=self.entropy,
            failpoints=self.failpoints,
            sink=self.sink,
            tuning=tuning,
        )

    async def requests(self, outbox: SqliteOutbox) -> list[str]:
        return [row.usage.request for row in await usage_rows(outbox) if row.usage is not None]

    async def fill(self, count: int) -> str:
        async with self.open(Tuning()) as outbox:
            await outbox.append([usage_record(n, model="m" * 300) for n in range(1, count + 1)])
            return outbox.name


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "outbox.db")


@pytest.fixture
def bench_on() -> type[Bench]:
    return Bench
