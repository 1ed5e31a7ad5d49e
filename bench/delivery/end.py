"""One end of a bad line: the far one serves a blob and answers beats, the near one fetches it.

Started by ``run.py`` inside a network namespace. The session, the HTTPS download and its cap are
the product's own. With ``--cuts`` the connection of the download is destroyed so many times, at
equal steps of its bytes, and all of the blob comes.
"""

import argparse
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from fastapi import FastAPI
from fastapi.responses import FileResponse

sys.path.insert(0, str(Path(__file__).parents[1] / "session"))
from ends import NAME, be, network, read_card, words_of_an_end
from peer import ADDRESS, FAR, Near

from littoral.app.download import HttpsDownloads
from littoral.app.system import SystemChance, SystemClock, SystemFailpoints
from littoral.control.blobs import pieces_of
from littoral.control.listener import listen
from littoral.domain.blob import CHUNK, BlobSource
from littoral.domain.delivery import Answered
from littoral.domain.enrolment import Place
from littoral.domain.pace import PacePolicy
from littoral.domain.ports import Channel
from littoral.domain.session import Beat
from littoral.domain.units import Bytes
from littoral.node.fetch import Fetch, FetchParts
from littoral.node.pacer import Pacer
from littoral.stores.blobs import DiskBlobs
from littoral.stores.parts import DiskParts
from littoral.trust.blob import measure
from littoral.trust.certificate import Issuer

PORT = 8447


async def far(given: argparse.Namespace) -> None:
    """Answer each beat, and serve the blob."""
    app, own = FastAPI(), read_card(given.card)

    @app.get("/blob")
    async def blob() -> FileResponse:
        return FileResponse(given.blob)

    async def serve(channel: Channel) -> None:
        while True:
            frame = await channel.receive()
            if isinstance(frame, Beat):
                await channel.send(frame)

    async def certificate() -> Issuer:
        return Issuer(certificate=own.chain, key=own.key)

    async with network(own).listen(ADDRESS, serve):
        await listen(app, Place(host=FAR, port=PORT), certificate)


class Cutting:
    """The product's downloads, whose connection is destroyed at some places."""

    def __init__(self, inner: HttpsDownloads, this: Near, places: list[int]) -> None:
        self._inner, self._this, self._places = inner, this, places
        self.came = self.cuts = 0

    @asynccontextmanager
    async def get(
        self, address: str, *, begin: int, end: int, gently: bool = False
    ) -> AsyncGenerator[Answered]:
        """Ask for a range of bytes."""
        get = self._inner.get(address, begin=begin, end=end, gently=gently)
        async with get as found:
            yield Answered(
                status=found.status, begin=found.begin, pieces=self._pieces(begin, found.pieces)
            )

    async def _pieces(self, begin: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            begin += len(piece)
            self.came += len(piece)
            self._this.beside += len(piece)
            if self._places and begin > self._places[0]:
                self._places.pop(0)
                self.cuts += 1
                print(f"cut {self.cuts} at {begin}", file=sys.stderr, flush=True)
                words = ["ss", "-K", "dst", FAR, "dport", "=", str(PORT)]
                await anyio.run_process(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            yield piece


class Download:
    """The product's fetch of one blob, with its cap."""

    def __init__(self, given: argparse.Namespace, this: Near) -> None:
        clock, failpoints = SystemClock(), SystemFailpoints()
        blobs = DiskBlobs(given.folder, clock=clock, failpoints=failpoints)
        policy = PacePolicy(bytes_s=given.cap or None)
        roots = read_card(given.card).roots
        manifest = measure(pieces_of(given.blob), kind="gguf", chunk=Bytes(given.chunk))
        self.downloads = Cutting(
            HttpsDownloads(lambda: ssl.create_default_context(cadata=roots), name=NAME),
            this,
            [(at + 1) * manifest.size // (given.cuts + 1) for at in range(given.cuts)],
        )
        self.fetch = Fetch(
            manifest=manifest,
            world=FetchParts(
                parts=DiskParts(given.folder, blobs, failpoints=failpoints),
                downloads=self.downloads,
                clock=clock,
                chance=SystemChance(),
                pacer=Pacer(lambda: policy, clock=clock, local=lambda _wall: 0),
                sources=self._sources,
                told=self._told,
            ),
        )

    async def _sources(self, stale: bool) -> list[BlobSource]:  # noqa: FBT001  a callback of one flag
        del stale
        return [BlobSource(name="control", address=f"https://{FAR}:{PORT}/blob")]

    async def _told(self, done: Bytes) -> None:
        del done


async def near(given: argparse.Namespace) -> dict[str, object]:
    """Beat for some time while the blob comes; with cuts, until all of it is here."""
    async with (
        network(read_card(given.card)).dial(ADDRESS) as channel,
        anyio.create_task_group() as group,
    ):
        this = Near(channel)
        group.start_soon(this.hear)
        download, began = Download(given, this), time.monotonic()
        if given.cuts:
            async with anyio.create_task_group() as beating:
                beating.start_soon(this.measure, given.seconds)
                await download.fetch.run()
                beating.cancel_scope.cancel()
        else:
            if given.cap >= 0:
                group.start_soon(download.fetch.run)
            await this.measure(given.seconds)
        group.cancel_scope.cancel()
    seen = download.downloads
    took = time.monotonic() - began
    found = {"waits": this.waits, "down": this.beside / given.seconds}
    return {**found, "took_s": took, "came": seen.came, "cuts": seen.cuts}


def main() -> None:
    """Be one end."""
    parser = words_of_an_end()
    parser.add_argument("blob")
    parser.add_argument("folder")
    parser.add_argument("--cap", type=int, default=-1, help="bytes a second; 0: none, -1: no fetch")
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--chunk", type=int, default=CHUNK)
    be(parser, far=far, near=near)


if __name__ == "__main__":
    main()
