"""Nodes get blobs by addresses that control granted, byte for byte, and by no others."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import httpx2
import pytest

from littoral.control.blobs import PREFIX
from littoral.control.parts import assemble
from littoral.domain.blob import BlobAsk, BlobOffer, BlobProgress, BlobsHeld
from littoral.domain.enrolment import Doors
from littoral.domain.ids import Digest, NodeId
from littoral.domain.model import SideFile
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs
from littoral.testing.failpoints import ArmedFailpoints
from littoral.trust.blob import accept
from littoral.trust.capability import LIFE_US
from littoral.trust.signature import key_id, public_of

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 20_000
NODE, PEER = NodeId("nd_1"), NodeId("nd_2")
UNKNOWN = Digest("sha256:" + "f" * 64)


async def until(true) -> None:
    """Wait for a condition; the test's own time limit bounds it."""
    while not true():  # noqa: ASYNC110  what is awaited has no event
        await anyio.sleep(0.01)


class Served:
    """Control with one model on a real disk, and an address for nodes."""

    def __init__(self, site, given, root) -> None:
        self.site = site
        self.disk = DiskBlobs(str(root), clock=site.clock, failpoints=ArmedFailpoints())
        self.weights, self.adapter = self.store(DATA), self.store(DATA[:1000])
        found = replace(
            given.artefact(),
            digest=self.weights,
            size=Bytes(len(DATA)),
            files=(SideFile(name="style.gguf", digest=self.adapter),),
        )
        site.obtainer.put("smol", "1", phase="ready", artefact=found)
        site.parts = replace(site.parts, blobs=self.disk, doors=Doors(public_url="http://cloud"))
        site.control = assemble(site.parts)

    def store(self, data: bytes) -> Digest:
        writer = self.disk.writer()
        writer.write(data)
        return writer.commit()

    @property
    def blobs(self):
        return self.site.control.desk.node_blobs

    async def offer(self, digest: Digest, node: NodeId = NODE) -> BlobOffer:
        return await self.blobs.answer(node, BlobAsk(digest=digest))

    async def measured(self) -> None:
        """Let control measure what there is."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.blobs.run)
            await until(
                lambda: all(self.blobs.manifest(each) for each in (self.weights, self.adapter))
            )
            group.cancel_scope.cancel()

    async def get(self, url: str, **headers: str) -> httpx2.Response:
        app = self.site.control.public
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport) as client:
            return await client.get(url, headers=headers)


@pytest.fixture
def served(site, given, tmp_path) -> Served:
    return Served(site, given, tmp_path / "blobs")


async def test_what_is_ready_is_measured_once_and_remembered(served):
    assert (await served.offer(served.weights)).error.endswith("is being measured")
    await served.measured()
    kept = served.site.state.values(PREFIX)
    assert len(kept) == 2
    offer = await served.offer(served.adapter)
    assert offer.signed.manifest.kind == "lora"
    served.disk.remove(served.weights)
    served.site.control = assemble(served.site.parts)
    await served.measured()
    assert (await served.offer(served.weights)).signed is not None


async def test_a_node_gets_a_manifest_that_control_signed_and_an_address(served):
    await served.measured()
    offer = await served.offer(served.weights)
    seed = served.blobs.seed
    manifest = accept(
        offer.signed, digest=served.weights, keys={key_id(public_of(seed)): public_of(seed)}
    )
    assert manifest.size == len(DATA)
    (source,) = offer.sources
    assert source.wan
    answer = await served.get(source.address)
    assert answer.content == DATA
    assert answer.headers["x-request-id"]


async def test_a_range_is_served_byte_for_byte(served):
    await served.measured()
    (source,) = (await served.offer(served.weights)).sources
    answer = await served.get(source.address, Range="bytes=1000-1999")
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes 1000-1999/{len(DATA)}"
    assert answer.content == DATA[1000:2000]
    assert (await served.get(source.address, Range=f"bytes={len(DATA)}-")).status_code == 416


async def test_an_address_that_was_not_granted_or_has_ended_gives_nothing(served):
    await served.measured()
    (source,) = (await served.offer(served.weights)).sources
    bare = source.address.partition("?")[0]
    assert (await served.get(bare)).status_code == 403
    other = source.address.replace(served.weights, served.adapter)
    assert (await served.get(other)).status_code == 403
    served.site.clock.advance(LIFE_US / 1e6 + 1)
    answer = await served.get(source.address)
    assert answer.status_code == 403
    assert "ended" in answer.json()["error"]["message"]


async def test_a_blob_that_is_gone_is_not_found(served):
    await served.measured()
    (source,) = (await served.offer(served.weights)).sources
    served.disk.remove(served.weights)
    assert (await served.get(source.address)).status_code == 404


async def test_what_control_does_not_have_is_not_promised(served):
    offer = await served.offer(UNKNOWN)
    assert "no blob" in offer.error
    assert not offer.again_s


async def test_the_second_node_of_a_site_is_sent_to_the_first(served):
    await served.measured()
    served.site.join(NODE)
    served.site.join(PEER)
    served.blobs.held(NODE, BlobsHeld(address="https://one", digests=()))
    assert [each.wan for each in (await served.offer(served.weights)).sources] == [True]
    (source,) = (await served.offer(served.weights, PEER)).sources
    assert source.name == NODE
    assert source.address == f"https://one/node/v1/blobs/{served.weights}"
    served.blobs.progress(NODE, BlobProgress(digest=served.weights, done=Bytes(0), ended=True))
    served.blobs.pulls.left(NODE)
    assert (await served.offer(served.weights, PEER)).sources[-1].name == "control"


async def test_without_an_address_for_nodes_nothing_is_measured(site, given):
    site.obtainer.put("smol", "1", phase="ready", artefact=given.artefact())
    async with anyio.create_task_group() as group:
        group.start_soon(site.control.desk.node_blobs.run)
        await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert site.state.values(PREFIX) == {}


async def test_weights_that_are_gone_are_left_and_others_go_on(served):
    served.disk.remove(served.weights)
    async with anyio.create_task_group() as group:
        group.start_soon(served.blobs.run)
        await until(lambda: served.blobs.manifest(served.adapter) is not None)
        group.cancel_scope.cancel()
    assert served.blobs.manifest(served.weights) is None
