"""What operators decide of nodes, by the API, and what becomes of their sessions."""

from dataclasses import replace

import anyio
import pytest

from controls import Cloud
from littoral.control.api.node import NodeApi
from littoral.control.route import Call
from littoral.control.serve import disconnects
from littoral.domain.enrolment import JoinRequest
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.prior import Coefficients, Learned
from littoral.domain.project import Principal
from littoral.domain.resource import Metadata, Resource
from littoral.domain.session import Goodbye, Hello, Welcome
from littoral.domain.site import Disconnect, SiteSpec
from littoral.domain.upkeep import Do, Done, Issued, Renew
from littoral.testing.channel import channel_pair
from littoral.testing.entropy import SeededEntropy
from littoral.trust import certificate as trust

pytestmark = pytest.mark.anyio
HELLO = Hello(
    protocol=1, node=NodeId("?"), name="x", boot="b1", build="0.1.0", outbox="ob", snapshot=(0, 0)
)


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def cloud():
    return Cloud().start()


def key_of(seed: int) -> str:
    return trust.make_key(SeededEntropy(seed).bytes(48))


def join(cloud, seed: int = 5, **wanted):
    request = JoinRequest(token=cloud.token(**wanted), csr=trust.request(key_of(seed)), name="edge")
    answer, rows = cloud.control.desk.enrolments.join(request, address="192.0.2.1")
    for row in rows:
        cloud.control.desk.fleet.learn(row)
    return answer.node


class Session:
    """A node's end of a session, spoken by hand."""

    def __init__(self, cloud, node, *, boot="b1", peer=True):
        self.cloud, self.node, self.boot, self.peer = cloud, node, boot, peer

    async def __aenter__(self):
        self.near, far = channel_pair()
        if self.peer:
            far.peer = self.node
        self.group = anyio.create_task_group()
        await self.group.__aenter__()
        self.group.start_soon(self.cloud.control.sessions.serve, far)
        await self.near.send(replace(HELLO, node=self.node, boot=self.boot))
        return self

    async def __aexit__(self, *error):
        await self.near.close()
        return await self.group.__aexit__(*error)

    async def until(self, kind):
        with anyio.fail_after(5):
            while True:
                frame = await self.near.receive()
                if isinstance(frame, kind):
                    return frame


async def test_a_revoked_nodes_session_ends_at_once_and_no_other_begins(cloud):
    node = join(cloud)
    desk = cloud.control.desk
    async with Session(cloud, node) as session:
        await session.until(Welcome)
        desk.fleet.learn(desk.roster.revoke(node))
        desk.links.end(node, "revoked")
        assert (await session.until(Goodbye)).code == "revoked"
    async with Session(cloud, node) as session:
        assert (await session.until(Goodbye)).code == "revoked"
    assert desk.fleet.node(node).state == "revoked"
    assert desk.fleet.refusal(node, desk.fleet.kept(node).enrolled.serials[0]) == "it was revoked"
    assert "node.revoked" in cloud.events()


async def test_an_enrolled_node_needs_its_certificate(cloud):
    node = join(cloud)
    async with Session(cloud, node, peer=False) as session:
        assert (await session.until(Goodbye)).code == "revoked"


async def test_a_certificate_of_nobody_we_know_is_refused(cloud):
    async with Session(cloud, NodeId("nd_unknown")) as session:
        assert (await session.until(Goodbye)).code == "revoked"
    assert cloud.control.desk.fleet.refusal(NodeId("nd_unknown"), "ab") != ""


def test_only_the_last_two_serials_come_in(cloud):
    node = join(cloud)
    fleet = cloud.control.desk.fleet
    first = fleet.kept(node).enrolled.serials[0]
    for _ in range(2):
        _, rows = cloud.control.desk.enrolments.renew(node, trust.request(key_of(5)))
        fleet.learn(rows[0])
    assert [fleet.refusal(node, each) for each in fleet.kept(node).enrolled.serials] == ["", ""]
    assert "last two" in fleet.refusal(node, first)


async def test_a_node_renews_over_its_session(cloud):
    node = join(cloud)
    async with Session(cloud, node) as session:
        await session.near.send(Renew(csr=trust.request(key_of(5))))
        issued = await session.until(Issued)
        assert trust.holder(issued.chain).node == node
        assert issued.ca == cloud.control.desk.authority.bundle()
        await session.near.send(Renew(csr="nonsense"))
        refused = await session.until(Issued)
        assert (refused.chain, "request" in refused.reason) == ("", True)


async def test_control_has_a_node_do_something_and_hears_what_came_of_it(cloud):
    node = join(cloud)
    links = cloud.control.desk.links
    found = []

    async def ask():
        found.append(await links.ask(node, "log_tail", {"role": "node"}))

    async with Session(cloud, node) as session, anyio.create_task_group() as group:
        await session.until(Welcome)
        group.start_soon(ask)
        asked = await session.until(Do)
        await session.near.send(Done(number=asked.number + 7, ok=False))
        await session.near.send(Done(number=asked.number, ok=True, result="lines"))
    assert (asked.verb, asked.args) == ("log_tail", {"role": "node"})
    assert [done.result for done in found] == ["lines"]


async def test_a_node_without_a_session_is_not_asked(cloud):
    node = join(cloud)
    with pytest.raises(Exception, match="not connected"):
        await cloud.control.desk.links.ask(node, "probe", {})


async def test_a_session_that_ends_ends_what_was_asked_over_it(cloud):
    node = join(cloud)
    said = []

    async def ask():
        try:
            await cloud.control.desk.links.ask(node, "probe", {})
        except Exception as error:  # noqa: BLE001  whatever it is, it is looked at below
            said.append(str(error))

    async with anyio.create_task_group() as group, Session(cloud, node) as session:
        await session.until(Welcome)
        group.start_soon(ask)
        await session.until(Do)
    assert said
    assert "lost its connection" in said[0]


async def test_a_copied_disk_is_noticed_when_both_come_by_turns(cloud):
    node = join(cloud)
    for boot in ("b1", "b2"):
        async with Session(cloud, node, boot=boot) as session:
            await session.until(Welcome)
    assert "node.cloned" not in cloud.events()
    async with Session(cloud, node, boot="b1") as session:
        await session.until(Welcome)
    assert "node.cloned" in cloud.events()


def test_a_node_is_found_by_name_or_id_and_unknown_ones_list_the_known(cloud):
    node = join(cloud)
    roster = cloud.control.desk.roster
    assert roster.find("edge").id == roster.find(node).id == node
    with pytest.raises(UnknownName, match="known: edge"):
        roster.find("other")


def test_a_mark_is_kept_over_a_restart_and_taken_off(cloud):
    node = join(cloud)
    desk = cloud.control.desk
    desk.roster.mark("edge", "cordoned")
    cloud.start()
    assert cloud.control.desk.fleet.kept(node).mark == "cordoned"
    cloud.control.desk.fleet.learn(cloud.control.desk.roster.mark("edge", ""))
    assert cloud.control.desk.fleet.kept(node).mark == ""
    assert [code for code in cloud.events() if code.startswith("node.")] == ["node.uncordoned"]


def test_labels_are_merged_and_taken_away(cloud):
    join(cloud, labels={"class": "small", "room": "1"})
    roster, fleet = cloud.control.desk.roster, cloud.control.desk.fleet
    fleet.learn(roster.label("edge", {"class": "", "floor": "2"}))
    assert roster.find("edge").labels == {"room": "1", "floor": "2"}
    assert roster.label("edge", {"floor": "2"}).labels == {"room": "1", "floor": "2"}
    with pytest.raises(InvalidInput, match=r"labels\.Ö"):
        roster.label("edge", {"Ö": "x"})
    with pytest.raises(InvalidInput, match="not within"):
        roster.label("edge", {f"l{n}": "x" for n in range(40)})


def test_what_is_gone_cannot_be_changed_but_removed(cloud):
    node = join(cloud)
    desk = cloud.control.desk
    desk.fleet.learn(desk.roster.revoke("edge"))
    with pytest.raises(Conflict, match="revoked"):
        desk.roster.mark(node, "cordoned")
    assert desk.roster.revoke(node).mark == "revoked"
    desk.roster.remove(node)
    desk.fleet.forget(node)
    assert desk.fleet.kept(node) is None
    cloud.start()
    assert cloud.control.desk.fleet.nodes() == []


async def test_a_node_that_is_revoked_or_removed_teaches_others_nothing(cloud):
    node, desk = join(cloud), cloud.control.desk
    operator = Principal(key=KeyId("k"), project=ProjectId("p"), scopes=("admin",))
    call = Call(principal=operator, path={"id": node}, query={}, body=b"")
    told = Coefficients(learned=(Learned(endpoint=EndpointId("e"), state="ok", outcomes=9),))
    api = NodeApi(desk)
    for act in (api.revoke, api.remove):
        await desk.priors.heard(node, told)
        assert len(desk.priors.predictors()) == 1
        assert (await act(call)).id == node
        assert list(desk.priors.predictors()) == []
    assert desk.fleet.kept(node) is None


async def test_a_connected_node_is_not_removed(cloud):
    node = join(cloud)
    async with Session(cloud, node) as session:
        await session.until(Welcome)
        with pytest.raises(Conflict, match="connected"):
            cloud.control.desk.roster.remove(node)


async def test_the_node_beside_control_is_neither_revoked_nor_removed(cloud):
    async with Session(cloud, NodeId("nd_here"), peer=False) as session:
        await session.until(Welcome)
    for change in (cloud.control.desk.roster.revoke, cloud.control.desk.roster.remove):
        with pytest.raises(Conflict, match="beside control"):
            change("nd_here")


async def test_a_node_counts_as_lost_only_where_its_site_says_so(cloud):
    node = join(cloud)
    fleet = cloud.control.desk.fleet
    async with Session(cloud, node) as session:
        await session.until(Welcome)
    cloud.clock.advance(3600)
    assert fleet.node(node).state == "disconnected"
    spec = SiteSpec(disconnect=Disconnect(lost_after_s=600))
    cloud.state.put(Resource(kind="Site", metadata=Metadata(name="default"), spec=spec))
    fleet.agree(disconnects(cloud.state))
    assert fleet.node(node).state == "lost"


def test_a_site_with_nodes_is_not_deleted(cloud):
    join(cloud)
    with pytest.raises(Conflict, match="node edge"):
        cloud.control.desk.resources.delete("Site", "default")
