"""Calls between a node's gateways and other nodes, checked by the node's own snapshot."""

from dataclasses import replace

import anyio
import pytest

import calls
from calls import Line, Tunnel
from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.reach import HOME, Spot
from littoral.domain.session import Beat, Credit, Data, Open, Reset
from littoral.domain.snapshot import Snapshot
from littoral.domain.stream import ReplyHead
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros
from littoral.node.relay import CONTROL, MOST_BODY, Relay

pytestmark = pytest.mark.anyio

ME, OTHER = NodeId("nd_me"), NodeId("nd_other")
EDGE = Spot(site="factory", tier="edge")
CALL = replace(calls.CALL, to=ME, origin=OTHER, hops=1)


def snapshot(**fields):
    given = {
        "epoch": 1,
        "version": 1,
        "issued_us": Micros(0),
        "node": ME,
        "pepper": b"",
        "keys": (KeyGrant(id=KeyId("k"), mac=b"", project=ProjectId("p"), scopes=("infer",)),),
        "assignments": (
            Assignment(name=DeploymentName("d"), revision=1, serves="m", engine="fake", model="m"),
        ),
        "neighbours": {ME: EDGE, OTHER: HOME},
    }
    return Snapshot(**(given | fields))


class Bench:
    """A relay and its channels."""

    def __init__(self, group):
        self.group = group
        self.relay = Relay(ME)
        self.relay.swapped(snapshot())
        self.lines, self.scopes = {}, {}

    async def join(self, port, *, first):
        line, scope = Line(), anyio.CancelScope()
        self.lines[port], self.scopes[port] = line, scope

        async def serve():
            with scope:
                await self.relay.serve(port, line, first=first)

        self.group.start_soon(serve)
        await anyio.wait_all_tasks_blocked()

    async def leave(self, port):
        self.scopes[port].cancel()
        await anyio.wait_all_tasks_blocked()

    async def heard(self, port):
        """The next frame on a channel; None where nothing came."""
        await anyio.wait_all_tasks_blocked()
        sent = self.lines[port].sent
        return sent.pop(0) if sent else None


@pytest.fixture
async def bench():
    async with anyio.create_task_group() as group:
        made = Bench(group)
        await made.join("gateway", first=2)
        await made.join(CONTROL, first=1)
        yield made
        group.cancel_scope.cancel()


async def test_a_gateways_call_goes_to_control_in_this_nodes_name(bench):
    head = replace(CALL, to=OTHER, origin=NodeId("forged"), hops=0)
    assert bench.relay.take("gateway", Open(stream=1, head=head))
    assert await bench.heard(CONTROL) == Open(stream=1, head=replace(head, origin=ME))
    assert bench.relay.take("gateway", Data(stream=1, body=b"x", fin=True))
    assert await bench.heard(CONTROL) == Data(stream=1, body=b"x", fin=True)
    bench.relay.take(CONTROL, Data(stream=1, head=ReplyHead(status=200)))
    assert await bench.heard("gateway") == Data(stream=1, head=ReplyHead(status=200))


async def test_a_call_from_outside_goes_to_a_gateway(bench):
    bench.relay.take(CONTROL, Open(stream=2, head=CALL))
    assert await bench.heard("gateway") == Open(stream=2, head=CALL)
    bench.relay.take("gateway", Credit(stream=2, upto=9))
    assert await bench.heard(CONTROL) == Credit(stream=2, upto=9)


async def test_of_several_gateways_the_one_with_the_fewest_calls_is_asked(bench):
    await bench.join("gateway:1", first=2)
    bench.relay.take(CONTROL, Open(stream=2, head=CALL))
    bench.relay.take(CONTROL, Open(stream=4, head=CALL))
    assert isinstance(await bench.heard("gateway"), Open)
    assert isinstance(await bench.heard("gateway:1"), Open)


async def test_without_a_gateway_a_call_is_sent_back(bench):
    await bench.leave("gateway")
    bench.relay.take(CONTROL, Open(stream=2, head=CALL))
    reset = await bench.heard(CONTROL)
    assert (reset.stream, reset.code, reset.retryable) == (2, "session_lost", True)


async def test_a_session_that_ends_ends_its_calls_at_the_gateway(bench):
    bench.relay.take("gateway", Open(stream=1, head=replace(CALL, to=OTHER)))
    await bench.leave(CONTROL)
    reset = await bench.heard("gateway")
    assert (reset.stream, reset.code) == (1, "session_lost")
    bench.relay.take("gateway", Open(stream=3, head=replace(CALL, to=OTHER)))
    assert (await bench.heard("gateway")).stream == 3


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"to": OTHER}, "calls of other nodes end here"),
        ({"hops": 2}, "calls of other nodes end here"),
        ({"size": MOST_BODY + 1}, "at most"),
        ({"deployment": DeploymentName("other")}, "does not serve"),
        ({"model": "other"}, "does not serve"),
        ({"key": KeyId("other")}, "unknown here"),
        ({"project": ProjectId("other")}, "of another project"),
        ({"origin": NodeId("nd_stranger")}, "no node that this one knows"),
    ],
)
async def test_what_the_own_snapshot_does_not_allow_is_refused(bench, head, why):
    bench.relay.take(CONTROL, Open(stream=2, head=replace(CALL, **head)))
    reset = await bench.heard(CONTROL)
    assert (reset.code, reset.retryable) == ("refused", False)
    assert why in reset.message
    assert await bench.heard("gateway") is None


async def test_a_revoked_key_calls_nothing(bench):
    (grant,) = snapshot().keys
    bench.relay.swapped(snapshot(keys=(replace(grant, revoked=True),)))
    bench.relay.take(CONTROL, Open(stream=2, head=CALL))
    assert "revoked" in (await bench.heard(CONTROL)).message


async def test_a_node_without_a_snapshot_answers_nothing(bench):
    bench.relay = Relay(ME)
    await bench.join(CONTROL, first=1)
    bench.relay.take(CONTROL, Open(stream=2, head=CALL))
    assert "no snapshot" in (await bench.heard(CONTROL)).message


@pytest.mark.parametrize(
    ("residency", "port", "origin", "passes"),
    [
        ("any", CONTROL, OTHER, True),
        ("site", CONTROL, OTHER, False),
        ("site", CONTROL, NodeId("nd_beside"), False),
        ("site", "peer:nd_beside", NodeId("nd_beside"), True),
        ("edge-only", "peer:nd_beside", NodeId("nd_beside"), True),
        ("edge-only", "peer:nd_other", OTHER, False),
    ],
)
async def test_a_resident_call_passes_only_where_every_hop_may_see_it(
    bench, residency, port, origin, passes
):
    spots = {ME: EDGE, OTHER: HOME, NodeId("nd_beside"): EDGE}
    traffic = (TrafficGrant(project=ProjectId("p"), residency=residency),)
    bench.relay.swapped(snapshot(neighbours=spots, traffic=traffic))
    if port != CONTROL:
        await bench.join(port, first=2)
    via = "relay" if port == CONTROL else "peer"
    head = replace(CALL, origin=origin, via=via, hops=int(port == CONTROL))
    stream = 2 if port == CONTROL else 1
    bench.relay.take(port, Open(stream=stream, head=head))
    if passes:
        assert isinstance(await bench.heard("gateway"), Open)
    else:
        assert "may not come here" in (await bench.heard(port)).message


async def test_a_peer_calls_in_its_own_name_only(bench):
    await bench.join("peer:nd_beside", first=2)
    bench.relay.take("peer:nd_beside", Open(stream=1, head=replace(CALL, via="peer", hops=0)))
    assert "own name" in (await bench.heard("peer:nd_beside")).message


async def test_a_call_that_pretends_another_way_is_refused(bench):
    bench.relay.take(CONTROL, Open(stream=2, head=replace(CALL, via="peer")))
    assert (await bench.heard(CONTROL)).code == "refused"


async def test_frames_of_no_stream_are_not_for_the_relay(bench):
    assert not bench.relay.take(CONTROL, Beat(number=1))
    assert bench.relay.take(CONTROL, Reset(stream=9, code="cancelled"))
    assert await bench.heard("gateway") is None


async def test_a_tunnel_leads_to_control_in_this_nodes_name_and_back(bench):
    tunnel = Tunnel()
    bench.group.start_soon(bench.relay.attach, tunnel)
    await anyio.wait_all_tasks_blocked()
    tunnel.send(Open(stream=1, head=replace(CALL, kind="admin", to=NodeId("control"), hops=0)))
    opened = await bench.heard(CONTROL)
    assert (opened.head.kind, opened.head.origin) == ("admin", ME)
    bench.relay.take(CONTROL, Data(stream=opened.stream, body=b"x"))
    assert tunnel.came == [Data(stream=1, body=b"x")]
    await bench.leave(CONTROL)
    assert tunnel.came[-1].code == "session_lost"
    tunnel.send(Open(stream=3, head=replace(CALL, kind="admin")))
    assert tunnel.came[-1].stream == 3


async def test_nobody_opens_a_tunnel_into_a_node(bench):
    bench.relay.take(CONTROL, Open(stream=2, head=replace(CALL, kind="admin")))
    assert "no other API" in (await bench.heard(CONTROL)).message
