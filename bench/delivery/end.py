"""One end of a bad line: the far one serves a blob and answers beats, the near one fetches it.

Started by ``run.py`` inside a network namespace. The session, the HTTPS download and its cap are
the product's own.
"""

import argparse
import ssl
import sys
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
from littoral.domain.blob import BlobSource
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


class Download:
    """The product's fetch of one blob, with its cap."""

    def __init__(self, given: argparse.Namespace) -> None:
        clock, failpoints = SystemClock(), SystemFailpoints()
        blobs = DiskBlobs(given.folder, clock=clock, failpoints=failpoints)
        policy = PacePolicy(bytes_s=given.cap or None)
        roots = read_card(given.card).roots
        self.fetch = Fetch(
            manifest=measure(pieces_of(given.blob), kind="gguf"),
            world=FetchParts(
                parts=DiskParts(given.folder, blobs, failpoints=failpoints),
                downloads=HttpsDownloads(
                    lambda: ssl.create_default_context(cadata=roots), name=NAME
                ),
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
    """Beat for some time while the blob comes."""
    async with (
        network(read_card(given.card)).dial(ADDRESS) as channel,
        anyio.create_task_group() as group,
    ):
        this = Near(channel)
        group.start_soon(this.hear)
        if given.cap >= 0:
            group.start_soon(Download(given).fetch.run)
        await this.measure(given.seconds)
        group.cancel_scope.cancel()
    return {"waits": this.waits}


def main() -> None:
    """Be one end."""
    parser = words_of_an_end()
    parser.add_argument("blob")
    parser.add_argument("folder")
    parser.add_argument("--cap", type=int, default=-1, help="bytes a second; 0: none, -1: no fetch")
    be(parser, far=far, near=near)


if __name__ == "__main__":
    main()
