"""A version that names its parent has a delta, made once, for nodes that have the parent."""

from dataclasses import replace

import anyio
import pytest

from littoral.control.deltas import PREFIX, pairs
from littoral.control.parts import assemble
from littoral.domain.blob import BlobAsk
from littoral.domain.enrolment import Doors
from littoral.domain.errors import UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.model import Artefact, SideFile
from littoral.domain.units import Bytes
from littoral.stores.blobs import DiskBlobs
from littoral.testing.failpoints import ArmedFailpoints
from littoral.testing.gguf import write

pytestmark = pytest.mark.anyio
SOURCE = "pypi:smol==1"


class Models:
    """Control with two versions of one model on a real disk, the second made from the first."""

    def __init__(self, site, given, folder) -> None:
        self.site, self.given = site, given
        self.disk = DiskBlobs(
            str(folder / "blobs"),
            clock=site.clock,
            failpoints=ArmedFailpoints(),
            watermark=Bytes(0),
        )
        old = write(folder / "tiny.gguf").read_bytes()
        self.old, self.new = self.artefact(old), self.artefact(old[:-5000] + bytes(5000))
        site.obtainer.put("smol", "1", phase="ready", artefact=self.old)
        site.obtainer.put("smol", "2", phase="ready", artefact=self.new)
        site.parts = replace(site.parts, blobs=self.disk, doors=Doors(public_url="https://cloud"))
        site.control = assemble(site.parts)
        versions = [{"name": "1", "source": SOURCE}, {"name": "2", "source": SOURCE, "parent": "1"}]
        answer = site.apply(given.document("Model", "smol", versions=versions))
        assert answer.status_code == 200, answer.text

    def artefact(self, data: bytes) -> Artefact:
        writer = self.disk.writer()
        writer.write(data)
        return replace(self.given.artefact(), digest=writer.commit(), size=Bytes(len(data)))

    @property
    def desk(self):
        return self.site.control.desk

    async def made(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.desk.deltas.run)
            while not self.site.state.values(PREFIX):  # noqa: ASYNC110  has no event
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()


@pytest.fixture
def models(site, given, tmp_path) -> Models:
    return Models(site, given, tmp_path)


def test_a_parent_must_be_another_version(site, given):
    versions = [{"name": "1", "source": SOURCE, "parent": "1"}]
    answer = site.apply(given.document("Model", "smol", versions=versions))
    assert answer.status_code == 400
    assert "known: none" in answer.text


async def test_the_delta_is_made_by_itself_and_offered_with_the_child(models):
    await models.made()
    manifest = models.desk.node_blobs.manifest(models.new.digest)
    (offer,) = manifest.deltas
    assert offer.parent == models.old.digest
    assert offer.size < models.new.size // 10
    assert models.disk.path(offer.digest) is not None
    assert models.desk.node_blobs.manifest(offer.digest).kind == "delta"


async def test_nodes_wait_for_a_delta_that_is_still_to_be_made(models):
    async with anyio.create_task_group() as group:
        group.start_soon(models.desk.node_blobs.run)
        while models.desk.node_blobs.manifest(models.new.digest) is None:  # noqa: ASYNC110  has no event
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    ask = BlobAsk(digest=models.new.digest)
    offer = await models.desk.node_blobs.answer(NodeId("nd_1"), ask)
    assert "compared" in offer.error
    assert offer.again_s
    await models.made()
    offer = await models.desk.node_blobs.answer(NodeId("nd_1"), ask)
    assert offer.signed.manifest.deltas


async def test_where_no_delta_can_be_made_nodes_do_not_wait(models):
    models.disk.remove(models.old.digest)
    await models.made()
    ask = BlobAsk(digest=models.new.digest)
    assert "measured" in (await models.desk.node_blobs.answer(NodeId("nd_1"), ask)).error


async def test_the_second_time_only_its_figures_are_looked_up(models):
    view = await models.desk.deltas.of("smol@1", "smol@2")
    assert view.kept
    assert view.tensors
    models.disk.remove(models.old.digest)
    assert await models.desk.deltas.of("smol@1", "smol@2") == view


async def test_a_delta_that_saves_little_is_not_kept(models):
    tried = await models.desk.deltas.between(models.new, replace(models.new, size=Bytes(1)))
    assert not tried.kept


async def test_an_adapter_costs_its_own_bytes(models):
    adapter = models.artefact(b"x" * 777)
    tuned = replace(models.old, files=(SideFile(name="style.gguf", digest=adapter.digest),))
    models.site.obtainer.put("smol", "3", phase="ready", artefact=tuned)
    view = await models.desk.deltas.of("smol@1", "smol@3")
    assert (view.adapter, view.delta) == (777, None)


async def test_an_unknown_version_is_named_with_those_that_are_known(models):
    with pytest.raises(UnknownName, match="smol@1, smol@2"):
        await models.desk.deltas.of("smol@9", "smol@2")


async def test_weights_that_are_gone_make_no_delta_and_the_next_ones_are_tried(models):
    models.disk.remove(models.old.digest)
    with pytest.raises(UnknownName, match="gone"):
        await models.desk.deltas.between(models.old, models.new)


def test_only_ready_gguf_files_are_paired(models):
    desk = models.desk
    specs = desk.resources.specs()
    statuses = {("smol", s.version): s for s in models.site.obtainer.statuses()}
    assert list(pairs(specs, statuses)) == [(models.old, models.new)]
    fetching = replace(statuses["smol", "1"], phase="fetching")
    assert list(pairs(specs, {**statuses, ("smol", "1"): fetching})) == []


def test_the_api_says_what_each_way_costs(models):
    body = {"parent": "smol@1", "child": "smol@2"}
    answer = models.site.call("POST", "/deltas", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["whole"] == models.new.size
