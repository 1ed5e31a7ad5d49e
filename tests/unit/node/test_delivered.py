"""A node that does not share control's disk: a deployment's weights come, and its engine starts."""

from dataclasses import replace

import anyio

from littoral.domain.blob import (
    CHUNK_LEAST,
    BlobAsk,
    BlobManifest,
    BlobOffer,
    BlobSource,
    DeltaOffer,
)
from littoral.domain.ports import Channel, ChannelClosed
from littoral.domain.session import Hello, PartsWanted, Welcome
from littoral.domain.units import Bytes, Micros, Seconds
from littoral.node.fetching import Fetching
from littoral.node.parts import NodeParts
from littoral.testing.blobs import MemoryBlobs
from littoral.testing.downloads import MemoryDownloads
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.parts import MemoryParts
from littoral.trust.blob import measure, sign
from unit.node.conftest import artefact
from unit.node.test_serve import Host

DATA = bytes(range(256)) * 4096
MANIFEST = measure([DATA], kind="gguf", chunk=CHUNK_LEAST)


async def no_delta(_delta: DeltaOffer, _path: str, _manifest: BlobManifest) -> bool:
    return False


class Edge(Host):
    """A node with a disk of its own, and a control that has one model for it."""

    def __init__(self, around, assign) -> None:
        super().__init__(around)
        weights = replace(artefact(len(DATA)), digest=MANIFEST.digest)
        assignment = replace(assign(size=len(DATA)), artefact=weights)
        self.offer = replace(self.snapshot, assignments=(assignment,))
        self.blobs = MemoryBlobs()
        self.downloads = MemoryDownloads(self.serve, bytes_s=100_000)
        self.sessions = 0

    async def serve(self, _address: str, begin: int, end: int) -> bytes | int:
        return DATA[begin:end]

    async def control(self, channel: Channel) -> None:
        self.sessions += 1
        assert isinstance(await channel.receive(), Hello)
        await channel.send(Welcome(protocol=1, server_us=Micros(0), beat_s=Seconds(5.0)))
        if self.offer is not None:
            await channel.send(self.issuer.offer(self.offer))
        try:
            while True:
                frame = await channel.receive()
                if isinstance(frame, PartsWanted):
                    for piece in self.issuer.pieces(frame):
                        await channel.send(piece)
                if isinstance(frame, BlobAsk):
                    source = BlobSource(name="control", address="wan")
                    signed = sign(MANIFEST, seed=self.issuer.seed)
                    await channel.send(
                        BlobOffer(digest=frame.digest, signed=signed, sources=(source,))
                    )
        except ChannelClosed:
            return

    def parts(self) -> NodeParts:
        return replace(
            super().parts(),
            fetching=Fetching(
                parts=MemoryParts(self.blobs, failpoints=ArmedFailpoints()),
                downloads=self.downloads,
                rebuild=no_delta,
                local=lambda _wall: 0,
            ),
        )


def test_weights_come_while_people_see_how_far_they_are_and_then_the_engine_starts(around, assign):
    edge = Edge(around, assign)
    edge.downloads.cuts = [300_000, 100_000]

    async def script() -> None:
        await anyio.sleep(4)
        (endpoint,) = edge.gateways[0].heard[-1].endpoints
        assert endpoint.state == "starting"
        assert endpoint.reason.startswith("fetching: ")
        assert edge.around.driver.started == []
        await anyio.sleep(20)
        (engine,) = edge.around.driver.started
        assert engine.spec.artefact_path == f"memory:{MANIFEST.digest}"
        assert edge.downloads.sent["wan"] == len(DATA)

    edge.during(script, with_control=True)


def test_weights_that_do_not_fit_the_disk_are_said_and_not_asked_for(around, assign):
    edge = Edge(around, assign)
    edge.blobs.room = Bytes(1000)

    async def script() -> None:
        await anyio.sleep(5)
        texts = [event.message for event in edge.around.sink.events]
        assert any("are free" in text for text in texts)
        assert edge.downloads.asked == []

    edge.during(script, with_control=True)
