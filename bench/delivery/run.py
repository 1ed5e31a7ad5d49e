#!/usr/bin/env python3
"""A download over a bad line: what it costs control, and what cuts cost it.

The first part lets 1 GiB come over a line of 256 kbit/s that is cut twenty times, on virtual time,
by the product's own fetch. The second one (Linux and root) runs the product's session and its HTTPS
download between two network namespaces at 256 kbit/s and 300 ms, and measures how long control's
beats wait. The third one lets a blob of 1 MiB come over that line with 10 % of the packets lost,
while the connection of its download is destroyed twenty times. Writes ``bench/out/delivery.json``;
about eight minutes.

    sudo .venv/bin/python bench/delivery/run.py --seconds 25 --losses 0,5,10
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "session"))
from ends import measured, waits  # noqa: E402  its folder is known only from here on

from lab.tun import Weather, missing  # noqa: E402  as above
from littoral.domain.blob import CHUNK, CHUNK_LEAST, BlobManifest, BlobSource  # noqa: E402  as above
from littoral.domain.delivery import Answered, Cut  # noqa: E402  as above
from littoral.domain.pace import ALWAYS  # noqa: E402  as above
from littoral.domain.units import Bytes  # noqa: E402  as above
from littoral.node.fetch import Fetch, FetchParts  # noqa: E402  as above
from littoral.node.pacer import Pacer  # noqa: E402  as above
from littoral.testing.chance import SeededChance  # noqa: E402  as above
from littoral.testing.loop import LoopClock, simulate  # noqa: E402  as above

OUT = HERE.parent / "out" / "delivery.json"
RATE = 32_000
GIB = 1 << 30
CUTS = 20
PIECE = 16 << 10
BLOB = 8 << 20
ZEROS = bytes(CHUNK)
CAPPED = "download, cap 192 kbit/s"
LOADS = {"idle": -1, CAPPED: 24_000, "download, no cap": 0}
SMALL = 1 << 20
LONGEST_S = 400.0


class Forgetful:
    """A blob under way of which each chunk is verified and then dropped: 1 GiB needs no memory."""

    def __init__(self) -> None:
        self.have: set[int] = set()
        self.index, self.length, self.hash = 0, 0, hashlib.sha256()

    async def open(self, manifest: BlobManifest) -> "Forgetful":
        """Begin it."""
        self.manifest = manifest
        return self

    async def free(self) -> Bytes:
        """There is room."""
        return Bytes(1 << 40)

    def has(self, index: int) -> bool:
        """Whether a chunk was verified."""
        return index in self.have

    async def filled(self, index: int) -> int:
        """How many bytes of a chunk came so far."""
        return self.length if index == self.index and index not in self.have else 0

    async def write(self, index: int, data: bytes) -> None:
        """Take bytes of a chunk."""
        if index != self.index:
            self.index, self.length, self.hash = index, 0, hashlib.sha256()
        self.hash.update(data)
        self.length += len(data)

    async def seal(self, index: int) -> bool:
        """Verify a chunk that is full."""
        good = self.hash.digest() == self.manifest.chunks[index]
        self.have |= {index} if good else set()
        self.length, self.hash = 0, hashlib.sha256()
        return good

    async def commit(self) -> None:
        """It is whole."""

    async def close(self) -> None:
        """Nothing is open."""


class CutLine:
    """A line of 256 kbit/s that breaks at each of some places; what was under way then is lost."""

    def __init__(self, places: list[int]) -> None:
        self.places = places
        self.sent = 0

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes: two round trips of 300 ms, and then some."""
        del address, gently
        await anyio.sleep(0.9)
        yield Answered(status=206, begin=begin, pieces=self._pieces(begin, end))

    async def _pieces(self, begin: int, end: int) -> AsyncIterator[bytes]:
        while begin < end:
            size = min(PIECE, end - begin)
            await anyio.sleep(size / RATE)
            self.sent += size
            if self.places and begin + size > self.places[0]:
                self.places.pop(0)
                raise Cut("the line was cut")
            yield ZEROS[:size]
            begin += size


def virtual() -> dict[str, object]:
    """1 GiB over the line, on virtual time."""
    chunks = tuple([hashlib.sha256(ZEROS).digest()] * (GIB // CHUNK))
    manifest = BlobManifest(
        digest="sha256:" + "0" * 64, size=Bytes(GIB), kind="gguf", chunk=CHUNK, chunks=chunks
    )
    line = CutLine([(at + 1) * GIB // (CUTS + 1) for at in range(CUTS)])

    async def run() -> float:
        clock = LoopClock()

        async def sources(_stale: bool) -> list[BlobSource]:  # noqa: FBT001  a callback of one flag
            return [BlobSource(name="control", address="wan")]

        async def told(_done: Bytes) -> None:
            return None

        await Fetch(
            manifest=manifest,
            world=FetchParts(
                parts=Forgetful(),
                downloads=line,
                clock=clock,
                chance=SeededChance(1),
                pacer=Pacer(lambda: ALWAYS, clock=clock, local=lambda _wall: 0),
                sources=sources,
                told=told,
            ),
        ).run()
        return clock.now()

    began = time.monotonic()
    took = simulate(run)
    return {
        "bytes": GIB,
        "cuts": CUTS,
        "sent_share": round(line.sent / GIB, 6),
        "hours": round(took / 3600, 2),
        "computed_in_s": round(time.monotonic() - began, 1),
    }


def once(
    weather: Weather, *more: str, seconds: float, seed: int, size: int = BLOB
) -> dict[str, object]:
    """One load on one line."""
    with tempfile.TemporaryDirectory() as folder:
        blob = Path(folder, "blob")
        blob.write_bytes(os.urandom(size))
        words = [str(blob), str(Path(folder, "got")), *more]
        return measured(HERE / "end.py", words, weather=weather, seconds=seconds, seed=seed)


def row(loss: float, load: str, found: dict[str, object]) -> dict[str, object]:
    """One line of the table."""
    down = round(found["down"] / 1000, 1)
    return {"loss": loss, "load": load, **waits(found), "down_kB_s": down}


def cut(weather: Weather, *, seed: int) -> dict[str, object]:
    """A whole blob over a line whose download is cut again and again.

    ``came_again`` are bytes that the near end took more than once; ``line_extra`` those that
    crossed the line beyond the blob: what was under way at each cut, and all headers, handshakes,
    beats and repetitions of lost packets.
    """
    words = [f"--cap={LOADS[CAPPED]}", f"--cuts={CUTS}", f"--chunk={CHUNK_LEAST}"]
    found = once(weather, *words, seconds=LONGEST_S, seed=seed, size=SMALL)
    return {
        "loss": 100 * weather.loss,
        "bytes": SMALL,
        "cuts": found["cuts"],
        "took_s": round(found["took_s"], 1),
        "came_again": found["came"] - SMALL,
        "line_extra": found["sent_down"] - SMALL,
        "line_extra_a_cut": round((found["sent_down"] - SMALL) / CUTS),
        "chunk": CHUNK_LEAST,
        **waits(found),
    }


def main() -> int:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("--losses", default="0,5,10", help="percent of packets, comma-separated")
    parser.add_argument("--loads", default="0,1", help="0 idle, 1 with a cap, 2 without")
    parser.add_argument("--cut-loss", type=float, default=10.0, help="-1: without that part")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found: dict[str, object] = {"virtual": virtual(), "line": []}
    print(json.dumps(found["virtual"]), flush=True)
    if why := missing():
        print(f"the second part is skipped: {why}")
    else:
        base = Weather(delay_s=0.15, rate=RATE, queue_s=0.5)
        for loss in map(float, filter(None, given.losses.split(","))):
            for load in (list(LOADS)[int(at)] for at in given.loads.split(",")):
                weather = replace(base, loss=loss / 100)
                cap = f"--cap={LOADS[load]}"
                seen = once(weather, cap, seconds=given.seconds, seed=given.seed)
                found["line"].append(row(loss, load, seen))
                print(json.dumps(found["line"][-1]), flush=True)
        if given.cut_loss >= 0:
            found["cut"] = cut(replace(base, loss=given.cut_loss / 100), seed=given.seed)
            print(json.dumps(found["cut"]), flush=True)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=2), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
