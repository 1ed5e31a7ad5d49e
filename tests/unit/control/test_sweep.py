"""Blobs of control's store that nothing refers to go after a day, and no other ones."""

import os
from dataclasses import replace

import pytest

from littoral.control.deltas import PREFIX
from littoral.control.parts import assemble
from littoral.control.sweep import GRACE_US, KEPT
from littoral.domain.blob import BlobAsk
from littoral.domain.errors import Damaged, StorageFull
from littoral.domain.ids import Digest, NodeId
from unit.control.test_delta import Models

DAY_S = GRACE_US / 1e6


@pytest.fixture
def models(site, given, tmp_path) -> Models:
    made = Models(site, given, tmp_path)
    made.site.clock.set_wall(1_000_000_000_000)
    for artefact in (made.old, made.new):
        age(made, artefact.digest)
    return made


def age(models: Models, digest: Digest, at_s: int = 0) -> None:
    """Let a blob have been written then."""
    os.utime(models.disk.place(digest), (at_s, at_s))


def blob(models: Models, data: bytes) -> Digest:
    writer = models.disk.writer()
    writer.write(data)
    digest = writer.commit()
    age(models, digest)
    return digest


@pytest.mark.anyio
async def test_what_nothing_referred_to_for_a_day_is_removed_and_told(models):
    stray = blob(models, b"stray")
    view = await models.desk.sweep.look()
    assert [each.digest for each in view.unused] == [stray]
    assert (view.removed, view.unused[0].until_us - view.unused[0].since_us) == ((), GRACE_US)
    models.site.clock.advance(DAY_S)
    view = await models.desk.sweep.look()
    assert (view.removed, view.freed, view.unused) == ((stray,), 5, ())
    assert models.disk.list() == sorted((models.old.digest, models.new.digest))
    assert models.site.parts.events.number
    assert models.site.state.value(KEPT) == b"{}"


def test_looking_changes_nothing(models):
    stray = blob(models, b"stray")
    models.site.call("POST", "/blobs/prune")
    models.site.clock.advance(DAY_S)
    view = models.site.call("GET", "/blobs").json()
    assert [each["digest"] for each in view["unused"]] == [stray]
    assert stray in models.disk.list()
    assert models.site.call("POST", "/blobs/prune").json()["removed"] == [stray]


@pytest.mark.anyio
async def test_a_restart_in_the_middle_goes_on(models):
    stray = blob(models, b"stray")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    models.site.control = assemble(models.site.parts)
    assert (await models.desk.sweep.look()).removed == (stray,)


@pytest.mark.anyio
async def test_a_death_between_forgetting_a_blob_and_removing_it_only_delays_that(models):
    manifest = await measured(models)
    models.site.obtainer.forget("smol", "2")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    remove = models.disk.remove

    def dies(digest: Digest) -> bool:
        models.disk.remove = remove
        raise StorageFull(f"{digest} cannot be removed")

    models.disk.remove = dies
    with pytest.raises(StorageFull):
        await models.desk.sweep.look()
    models.site.control = assemble(models.site.parts)
    assert manifest.digest in (await models.desk.sweep.look()).removed
    assert models.disk.list() == [models.old.digest]


def test_what_a_node_beside_keeps_outlives_its_model(models):
    kept = frozenset({models.new.digest})
    models.site.parts = replace(models.site.parts, beside=lambda: kept)
    models.site.control = assemble(models.site.parts)
    assert models.site.call("DELETE", "/models/smol").status_code == 200
    assert models.disk.list() == [models.new.digest]


def test_a_model_is_removed_also_where_nobody_knows_what_a_node_beside_keeps(models):
    def unknown() -> frozenset[Digest]:
        raise Damaged("slots.json cannot be read")

    models.site.parts = replace(models.site.parts, beside=unknown)
    models.site.control = assemble(models.site.parts)
    assert models.site.call("DELETE", "/models/smol").status_code == 200
    assert models.new.digest in models.disk.list()


@pytest.mark.anyio
async def test_what_was_written_of_late_stays_whatever_was_noted_before(models):
    stray = blob(models, b"stray")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    age(models, stray, int(models.site.clock.wall() / 1e6))
    assert (await models.desk.sweep.look()).removed == ()


@pytest.mark.anyio
async def test_while_a_version_is_fetched_nothing_goes(models):
    stray = blob(models, b"stray")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    models.site.obtainer.put("smol", "3", phase="fetching")
    view = await models.desk.sweep.look()
    assert (view.fetching, view.removed) == (True, ())
    models.site.obtainer.put("smol", "3", phase="failed")
    assert (await models.desk.sweep.look()).removed == (stray,)


@pytest.mark.anyio
async def test_what_a_node_pulls_stays(models):
    await models.desk.node_blobs.put(manifest := await measured(models))
    models.site.obtainer.forget("smol", "2")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    await models.desk.node_blobs.answer(NodeId("nd_1"), BlobAsk(digest=manifest.digest))
    assert (await models.desk.sweep.look()).removed == ()
    models.site.clock.advance(60.0 + DAY_S)
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    assert models.new.digest in (await models.desk.sweep.look()).removed
    assert models.desk.node_blobs.manifest(models.new.digest) is None


async def measured(models: Models):
    await models.desk.deltas.of("smol@1", "smol@2")
    found = models.desk.node_blobs.manifest(models.new.digest)
    for offer in found.deltas:
        age(models, offer.digest)
    return found


@pytest.mark.anyio
async def test_a_delta_goes_with_either_of_its_ends_and_nodes_hear_of_it_no_more(models):
    (offer,) = (await measured(models)).deltas
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    assert (await models.desk.sweep.look()).removed == ()
    models.site.obtainer.forget("smol", "1")
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    view = await models.desk.sweep.look()
    assert set(view.removed) == {offer.digest, models.old.digest}
    assert models.desk.node_blobs.manifest(models.new.digest).deltas == ()
    assert models.site.state.values(PREFIX) == {}


@pytest.mark.anyio
async def test_wheels_of_releases_and_what_a_node_beside_keeps_stay(models):
    wheel, slot = blob(models, b"wheel"), blob(models, b"slot")
    models.site.parts = replace(models.site.parts, beside=lambda: frozenset({slot}))
    models.site.control = assemble(models.site.parts)
    models.desk.node_blobs.wheels = lambda: (wheel,)
    await models.desk.sweep.look()
    models.site.clock.advance(2 * DAY_S)
    view = await models.desk.sweep.look()
    assert (view.removed, view.unused) == ((), ())


@pytest.mark.anyio
async def test_what_is_needed_again_at_the_last_moment_stays(models):
    one, other = sorted((blob(models, b"one"), blob(models, b"other")))
    await models.desk.sweep.look()
    models.site.clock.advance(DAY_S)
    remove = models.disk.remove

    def removing(digest: Digest) -> bool:
        models.desk.node_blobs.wheels = lambda: (other,)
        return remove(digest)

    models.disk.remove = removing
    assert (await models.desk.sweep.look()).removed == (one,)
    assert other in models.disk.list()


@pytest.mark.anyio
async def test_where_nobody_knows_what_a_node_beside_keeps_nothing_goes(models):
    def unknown() -> frozenset[Digest]:
        raise Damaged("slots.json cannot be read")

    models.site.parts = replace(models.site.parts, beside=unknown)
    models.site.control = assemble(models.site.parts)
    blob(models, b"stray")
    with pytest.raises(Damaged):
        await models.desk.sweep.look()
