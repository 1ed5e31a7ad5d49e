"""Releases, and nodes on their way to one: a few first, the others once these are healthy."""

import io
import zipfile
from dataclasses import replace

import anyio
import pytest

from controls import Cloud
from littoral.control.updates import Updates
from littoral.control.wave import Fleeted, advanced, first, members, not_failed, version_for
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.node import Enrolled, Node
from littoral.domain.ports import ChannelClosed
from littoral.domain.release import Update, UpdateOrder, UpdateReport
from littoral.domain.view import UpdateWish
from littoral.stores.blobs import DiskBlobs
from littoral.testing.clock import SettableClock
from littoral.testing.failpoints import ArmedFailpoints
from littoral.trust.release import accept

MINUTE = 60_000_000


def node(name: str, *, site: str = "default", mark: str = "", joined: bool = True) -> Node:
    enrolled = Enrolled(joined_us=0, serials=("1",), until_us=1) if joined else None
    return Node(
        id=NodeId(name),
        name=name,
        state="connected",
        seen_us=0,
        build="0.1.0",
        site=site,
        mark=mark,
        enrolled=enrolled,
    )


NODES = [node(f"nd{each}") for each in range(8)]
UPDATE = Update(version="0.2.0", number=5, canary=0.1, minutes=10, since_us=0)


def fleet(reports=None, *, nodes=NODES, away=()):
    said = {
        NodeId(name): UpdateReport(number=5, version="0.2.0", phase=phase, why="because")
        for name, phase in (reports or {}).items()
    }
    connected = frozenset(each.id for each in nodes) - set(away)
    return Fleeted(nodes=nodes, connected=connected, reports=said)


def test_only_nodes_that_joined_and_of_the_wanted_sites_are_concerned():
    nodes = [
        node("a"),
        node("b", site="harbour"),
        node("c", joined=False),
        node("d", mark="revoked"),
    ]
    assert [each.id for each in members(UPDATE, nodes)] == ["a", "b"]
    assert [each.id for each in members(replace(UPDATE, sites=("harbour",)), nodes)] == ["b"]


def test_at_least_one_node_tries_it_first_and_always_the_same():
    assert len(first(replace(UPDATE, canary=0.001), NODES)) == 1
    assert first(UPDATE, NODES) == first(UPDATE, NODES)
    assert len(first(replace(UPDATE, canary=1.0), NODES)) == len(NODES)
    assert first(UPDATE, []) == frozenset()


def test_the_others_follow_once_the_first_were_healthy_for_long_enough():
    begun = advanced(UPDATE, fleet(), now_us=1)
    chosen = first(UPDATE, NODES)
    assert set(begun.before) == chosen
    assert not begun.everyone
    healthy = dict.fromkeys(chosen, "healthy")
    soon = advanced(begun, fleet(healthy), now_us=5 * MINUTE)
    assert not soon.everyone
    later = advanced(soon, fleet(healthy), now_us=11 * MINUTE)
    assert later.everyone
    assert len(later.before) > len(chosen)


def test_only_some_nodes_of_a_site_are_under_way_at_a_time():
    update = replace(UPDATE, everyone=True)
    begun = advanced(update, fleet(), now_us=1)
    assert len(begun.before) == 2
    again = advanced(begun, fleet(), now_us=2)
    assert again.before == begun.before
    done = dict.fromkeys(begun.before, "healthy")
    assert len(advanced(begun, fleet(done), now_us=3).before) == 4


def test_nodes_that_are_away_are_ordered_when_they_are_back():
    update = replace(UPDATE, everyone=True)
    begun = advanced(update, fleet(away=[each.id for each in NODES]), now_us=1)
    assert begun.before == {}


def test_a_failure_pauses_it_by_itself():
    chosen = min(first(UPDATE, NODES))
    paused = advanced(UPDATE, fleet({chosen: "rolled_back"}), now_us=1)
    assert paused.state == "paused"
    assert paused.why == f"failed on {chosen}: because"
    assert advanced(paused, fleet(), now_us=2) == paused


def test_it_is_done_when_every_node_is_healthy():
    everyone = {each.id: "healthy" for each in NODES}
    done = advanced(UPDATE, fleet(everyone), now_us=1)
    assert (done.state, done.why) == ("done", "8 nodes run 0.2.0")
    assert advanced(done, fleet(), now_us=2) == done


def test_undone_every_node_is_ordered_back_to_what_it_ran():
    update = replace(UPDATE, before={NodeId("nd1"): "0.1.0"})
    assert version_for(update, NodeId("nd1")) == "0.2.0"
    undone = replace(update, state="undone")
    assert version_for(undone, NodeId("nd1")) == "0.1.0"
    assert version_for(undone, NodeId("nd2")) is None
    assert advanced(undone, fleet(), now_us=2) == undone


def test_who_is_under_way_when_an_update_is_resumed_still_knows_what_it_ran():
    names = ["healthy", "trial", "silent", "failed", "long_ago"]
    update = replace(UPDATE, before={NodeId(each): "0.1.0" for each in names})
    reports = {
        NodeId(each): UpdateReport(number=number, version="0.2.0", phase=phase)
        for each, number, phase in [
            ("healthy", 5, "healthy"),
            ("trial", 5, "trial"),
            ("failed", 5, "rolled_back"),
            ("long_ago", 4, "refused"),
        ]
    }
    assert set(not_failed(update, reports)) == {"healthy", "trial", "silent", "long_ago"}


# releases


def wheel_of(
    version: str,
    *,
    says: str | None = None,
    requires: str = "0.1.0",
    packing: int = zipfile.ZIP_STORED,
) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        text = f'VERSION = "{says or version}"\nREQUIRES = "{requires}"\n'
        archive.writestr("littoral/app/version.py", text)
    return file.getvalue()


def name(version: str) -> str:
    return f"littoral-{version}-py3-none-any.whl"


@pytest.fixture
def cloud(tmp_path) -> Cloud:
    clock, failpoints = SettableClock(), ArmedFailpoints()
    blobs = DiskBlobs(str(tmp_path), clock=clock, failpoints=failpoints, watermark=0)
    cloud = Cloud(blobs=blobs, clock=clock).start()
    cloud.control.desk.fleet.learn(node("nd1"))
    return cloud


def run(work):
    return anyio.run(work)


async def added(cloud: Cloud, version: str = "0.2.0", **said: str):
    releases = cloud.control.desk.releases
    wheel = await releases.take(name(version), wheel_of(version, **said))
    return await releases.add([wheel])


def test_a_release_is_kept_and_its_wheels_are_for_nodes(cloud):
    async def work():
        release = await added(cloud)
        assert (release.version, release.requires) == ("0.2.0", "0.1.0")
        assert release.wheels[0].digest in set(cloud.control.desk.node_blobs.wheels())
        assert await added(cloud) == release
        cloud.start()
        assert cloud.control.desk.releases.all() == [release]

    run(work)


@pytest.mark.parametrize(
    ("file", "data", "why"),
    [
        ("notes.txt", b"PK\x03\x04", "not the name of a wheel"),
        (name("0.2.0"), b"hello", "no wheel"),
    ],
)
def test_what_is_no_wheel_is_not_taken(cloud, file, data, why):
    async def work():
        with pytest.raises(InvalidInput, match=why):
            await cloud.control.desk.releases.take(file, data)

    run(work)


def test_a_release_without_our_wheel_or_with_two_versions_is_refused(cloud):
    async def work():
        releases = cloud.control.desk.releases
        other = await releases.take("anyio-4.0-py3-none-any.whl", wheel_of("4.0"))
        one = await releases.take(name("0.2.0"), wheel_of("0.2.0"))
        two = await releases.take(name("0.3.0"), wheel_of("0.3.0"))
        for wheels in ([other], [one, two], [one, one], []):
            with pytest.raises(InvalidInput):
                await releases.add(wheels)

    run(work)


def test_a_wheel_that_is_not_what_its_name_says_is_refused(cloud):
    async def work():
        with pytest.raises(InvalidInput, match=r"says of itself that it is 0\.1\.9"):
            await added(cloud, says="0.1.9")
        releases = cloud.control.desk.releases
        odd = await releases.take(name("0.4.0"), b"PK\x03\x04 and no archive")
        with pytest.raises(InvalidInput, match="no wheel of Littoral"):
            await releases.add([odd])
        torn = bytearray(wheel_of("0.4.0", packing=zipfile.ZIP_DEFLATED))
        torn[60:70] = b"\xff" * 10
        odd = await releases.take(name("0.4.0"), bytes(torn))
        with pytest.raises(InvalidInput, match="no wheel of Littoral"):
            await releases.add([odd])
        with pytest.raises(InvalidInput, match="was sent before"):
            await releases.add([replace(odd, digest="sha256:" + "0" * 64)])

    run(work)


def test_wheels_of_two_builds_are_no_release(cloud):
    async def work():
        releases = cloud.control.desk.releases
        one = await releases.take(name("0.2.0"), wheel_of("0.2.0"))
        two = await releases.take(
            "littoral-0.2.0-1-py3-none-any.whl", wheel_of("0.2.0", requires="0.2.0")
        )
        with pytest.raises(InvalidInput, match="not of one build"):
            await releases.add([one, two])

    run(work)


def test_a_known_version_is_not_replaced_by_another_build(cloud):
    async def work():
        await added(cloud)
        with pytest.raises(Conflict, match="with other wheels"):
            await added(cloud, requires="0.2.0")

    run(work)


def test_a_release_is_forgotten_unless_it_is_on_its_way(cloud):
    async def work():
        releases = cloud.control.desk.releases
        await added(cloud)
        with pytest.raises(UnknownName, match=r"known: 0\.2\.0"):
            await releases.remove("0.9.9", used="")
        with pytest.raises(Conflict, match="on its way"):
            await releases.remove("0.2.0", used="0.2.0")
        await releases.remove("0.2.0", used="")
        assert releases.find("0.2.0") is None

    run(work)


# the service


class Heard:
    """The node's end of a channel."""

    def __init__(self) -> None:
        self.frames: list[UpdateOrder] = []
        self.gone = False

    async def send(self, frame: UpdateOrder) -> None:
        if self.gone:
            raise ChannelClosed("gone")
        self.frames.append(frame)


def updates_of(cloud: Cloud) -> Updates:
    desk = cloud.control.desk
    desk.fleet.joined(node("nd1"))
    return desk.updates


async def settled() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


def test_a_connected_node_gets_signed_orders_and_its_reports_take_it_further(cloud):
    async def work():
        await added(cloud)
        updates, heard = updates_of(cloud), Heard()
        keys = cloud.control.desk.signer.keys.publics
        async with anyio.create_task_group() as group:
            group.start_soon(updates.follow, NodeId("nd1"), heard)
            await updates.start(UpdateWish(version="0.2.0", minutes=0))
            await settled()
            order = accept(heard.frames[-1].token, node="nd1", keys=keys)
            assert order.release.version == "0.2.0"
            await rolled_back(updates, order.number)
            await updates.look()
            view = updates.views()[0]
            assert (view.state, view.nodes[0].phase) == ("paused", "rolled_back")
            assert "update.paused" in cloud.events()
            await updates.act("resume")
            await updates.look()
            await settled()
            again = accept(heard.frames[-1].token, node="nd1", keys=keys)
            assert again.number > order.number
            assert (await updates.act("undo")).state == "undone"
            await settled()
            back = accept(heard.frames[-1].token, node="nd1", keys=keys)
            assert back.release.version == "0.1.0"
            heard.gone = True
            group.cancel_scope.cancel()
        kept = cloud.start().control.desk.updates.views()[0]
        assert (kept.state, kept.version) == ("undone", "0.2.0")

    run(work)


async def rolled_back(updates: Updates, number: int) -> None:
    """The node reports that it went back, twice."""
    report = UpdateReport(number=number, version="0.2.0", phase="rolled_back", why="x")
    for _ in range(2):
        await updates.reported(NodeId("nd1"), report)


def test_a_node_that_goes_is_not_followed_any_more(cloud):
    async def work():
        await added(cloud)
        updates, heard = updates_of(cloud), Heard()
        heard.gone = True
        await updates.start(UpdateWish(version="0.2.0"))
        with anyio.fail_after(5):
            await updates.follow(NodeId("nd1"), heard)

    run(work)


def test_an_update_that_makes_no_sense_is_refused(cloud):
    async def work():
        updates = updates_of(cloud)
        with pytest.raises(UnknownName, match="known: none"):
            await updates.start(UpdateWish(version="0.2.0"))
        await added(cloud)
        for wish in (
            UpdateWish(version="0.2.0", canary=0),
            UpdateWish(version="0.2.0", minutes=-1),
            UpdateWish(version="0.2.0", within_s=1),
        ):
            with pytest.raises(InvalidInput):
                await updates.start(wish)
        with pytest.raises(UnknownName, match="no node that joined"):
            await updates.start(UpdateWish(version="0.2.0", sites=("moon",)))
        with pytest.raises(Conflict, match="no update is under way"):
            await updates.act("undo")

    run(work)


def test_one_update_at_a_time_and_acts_suit_its_state(cloud):
    async def work():
        await added(cloud)
        updates = updates_of(cloud)
        await updates.start(UpdateWish(version="0.2.0"))
        assert updates.under_way == "0.2.0"
        with pytest.raises(Conflict, match="undo it first"):
            await updates.start(UpdateWish(version="0.2.0"))
        with pytest.raises(Conflict, match="is running"):
            await updates.act("resume")
        assert (await updates.act("pause")).why == "paused by an operator"
        with pytest.raises(Conflict, match="is paused"):
            await updates.act("pause")
        await updates.act("undo")
        assert updates.under_way == ""

    run(work)
