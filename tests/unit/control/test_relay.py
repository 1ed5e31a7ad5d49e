"""Calls joined from session to session, in order and without waiting for anything else."""

import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from calls import CALL, Line, Tunnel
from littoral.control.relay import Relay
from littoral.control.remote import remotes_of
from littoral.domain.endpoint import Address, Endpoint, Machine
from littoral.domain.ids import DeploymentName, EndpointId, NodeId, ProjectId
from littoral.domain.node import NodeStatus
from littoral.domain.reach import HOME, Spot
from littoral.domain.session import (
    Beat,
    Data,
    Hello,
    Open,
    Records,
    Remotes,
    Reset,
    SnapshotOffer,
    Stored,
)
from littoral.domain.units import Bytes
from littoral.testing.channel import channel_pair
from littoral.testing.ledger import MemoryLedger
from littoral.testing.usage import usage_batch, usage_record

pytestmark = pytest.mark.anyio

A, B = CALL.origin, CALL.to
ENGINE = Endpoint(
    id=EndpointId("d@1"),
    deployment=DeploymentName("d"),
    serves="m",
    engine="fake",
    state="ready",
    address=Address(host="127.0.0.1", port=9),
    credential="secret",
)


def status(*endpoints):
    machine = Machine(cores=1, memory=Bytes(1), memory_free=Bytes(1))
    return NodeStatus(machine=machine, endpoints=endpoints, snapshot=(1, 1), outbox_depth=0)


def hello(node):
    return Hello(
        protocol=1, node=node, name=node, boot="b", build="1", outbox="ob", snapshot=(0, 0)
    )


class Bench:
    """A relay over a fleet of two, of which ``B`` has the engine."""

    def __init__(self, group, fleet):
        self.group, self.fleet = group, fleet
        self.residencies = {}
        self.relay = Relay(fleet, lambda: self.residencies)
        self.lines, self.scopes = {}, {}
        for node in (A, B):
            fleet.joined(fleet.row(hello(node)))
            fleet.beat(node, status(*([ENGINE] if node == B else [])))

    async def join(self, node):
        line, scope = Line(), anyio.CancelScope()
        self.lines[node], self.scopes[node] = line, scope

        async def serve():
            with scope:
                await self.relay.serve(node, line)

        self.group.start_soon(serve)
        await anyio.wait_all_tasks_blocked()

    async def heard(self, node):
        await anyio.wait_all_tasks_blocked()
        sent = self.lines[node].sent
        return sent.pop(0) if sent else None


@pytest.fixture
async def bench(site):
    async with anyio.create_task_group() as group:
        made = Bench(group, site.control.desk.fleet)
        await made.join(A)
        await made.join(B)
        yield made
        group.cancel_scope.cancel()


async def test_a_call_passes_from_one_session_to_the_other_with_one_hop_more(bench):
    assert bench.relay.take(A, Open(stream=1, head=CALL))
    assert await bench.heard(B) == Open(stream=2, head=replace(CALL, hops=1))
    bench.relay.take(B, Data(stream=2, body=b"x", fin=True))
    assert await bench.heard(A) == Data(stream=1, body=b"x", fin=True)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"origin": B}, "own name"),
        ({"hops": 1}, "own name"),
        ({"via": "peer"}, "own name"),
        ({"to": NodeId("nd_nobody")}, "no node has the id"),
        ({"to": A}, "does not run on"),
        ({"deployment": DeploymentName("other")}, "does not run on"),
    ],
)
async def test_what_a_node_may_not_call_is_refused(bench, head, why):
    bench.relay.take(A, Open(stream=1, head=replace(CALL, **head)))
    reset = await bench.heard(A)
    assert (reset.code, reset.retryable) == ("refused", False)
    assert why in reset.message
    assert await bench.heard(B) is None


async def test_a_call_whose_project_keeps_its_requests_elsewhere_does_not_pass(bench):
    bench.residencies = {ProjectId("p"): "edge-only"}
    bench.relay.take(A, Open(stream=1, head=CALL))
    assert "may not pass here" in (await bench.heard(A)).message


async def test_a_session_that_ends_ends_its_calls(bench):
    bench.relay.take(A, Open(stream=1, head=CALL))
    bench.scopes[B].cancel()
    reset = await bench.heard(A)
    assert (reset.stream, reset.code, reset.retryable) == (1, "session_lost", True)


async def test_a_newer_session_of_a_node_is_not_ended_with_the_older_one(bench):
    bench.relay.take(A, Open(stream=1, head=CALL))
    older = bench.scopes[B]
    await bench.join(B)
    assert (await bench.heard(A)).code == "session_lost"
    older.cancel()
    bench.relay.take(A, Open(stream=3, head=CALL))
    assert isinstance(await bench.heard(B), Open)


async def test_other_frames_are_not_for_the_relay(bench):
    assert not bench.relay.take(A, Beat(number=1))
    assert bench.relay.take(A, Reset(stream=1, code="cancelled"))


async def test_nodes_know_the_endpoints_of_the_others_without_their_secrets(bench):
    nodes, spots = bench.fleet.nodes(), {A: HOME, B: HOME}
    (remote,) = remotes_of(A, nodes, spots).endpoints
    assert (remote.id, remote.serves, remote.state) == ("d@1@nd_b", "m", "ready")
    assert (remote.address, remote.credential, remote.remote) == (None, None, True)
    assert (remote.via.node, remote.via.endpoint, remote.via.path) == (B, "d@1", "relay")
    assert remotes_of(B, nodes, spots) == Remotes(endpoints=())


async def test_ways_through_control_lie_within_what_allows_control_and_the_node(bench):
    factory = Spot(site="factory", tier="edge")
    for here, there, expected in [
        (HOME, HOME, ("any", "site")),
        (factory, factory, ("any",)),
        (factory, HOME, ("any",)),
    ]:
        (remote,) = remotes_of(A, bench.fleet.nodes(), {A: here, B: there}).endpoints
        assert remote.via.within == expected


async def test_what_leaves_for_an_api_outside_is_within_no_residency(bench):
    bench.fleet.beat(B, status(replace(ENGINE, remote=True)))
    (remote,) = remotes_of(A, bench.fleet.nodes(), {A: HOME, B: HOME}).endpoints
    assert remote.via.within == ("any",)


async def test_nodes_that_are_silent_gone_or_nowhere_have_nothing_to_offer(bench, site):
    spots = {A: HOME, B: HOME}
    assert remotes_of(A, bench.fleet.nodes(), {A: HOME}).endpoints == ()
    assert remotes_of(A, bench.fleet.nodes(), {B: HOME}).endpoints == ()
    bench.fleet.beat(B, status(replace(ENGINE, state="failed")))
    assert remotes_of(A, bench.fleet.nodes(), spots).endpoints == ()
    bench.fleet.beat(B, status(ENGINE))
    site.clock.advance(12.0)
    assert remotes_of(A, bench.fleet.nodes(), spots).endpoints == ()


@asynccontextmanager
async def opened(site, node):
    """The node's end of a session with a whole control."""
    near, far = channel_pair()
    async with anyio.create_task_group() as group:
        group.start_soon(site.control.sessions.serve, far)
        group.start_soon(site.control.desk.neighbours.run)
        await near.send(replace(hello(node), outbox=f"ob_{node[-1]}"))
        await heard(near, SnapshotOffer)
        yield near
        await near.close()
        group.cancel_scope.cancel()


async def heard(channel, kind):
    """The next frame of a kind; others pass by."""
    while not isinstance(found := await channel.receive(), kind):
        pass
    return found


async def test_a_node_hears_of_the_engines_of_another_and_at_once_when_that_leaves(site):
    async with opened(site, A) as near:
        async with opened(site, B) as far:
            await far.send(Beat(number=1, status=status(ENGINE)))
            while not (remotes := (await heard(near, Remotes)).endpoints):
                pass
            (remote,) = remotes
            assert (remote.id, remote.via.node) == ("d@1@nd_b", B)
        assert (await heard(near, Remotes)).endpoints == ()


class SlowLedger(MemoryLedger):
    """Applies nothing before it is let."""

    def __init__(self):
        super().__init__()
        self.let = threading.Event()

    def apply(self, node, outbox, batch):
        assert self.let.wait(10.0)
        return super().apply(node, outbox, batch)


async def test_calls_pass_while_the_records_of_both_nodes_are_being_stored(site):
    ledger = site.ledger = SlowLedger()
    site.start()
    async with opened(site, A) as near, opened(site, B) as far:
        await far.send(Beat(number=1, status=status(ENGINE)))
        while not (await heard(near, Remotes)).endpoints:
            pass
        for channel, outbox in ((near, "ob_a"), (far, "ob_b")):
            await channel.send(Records(outbox=outbox, batch=usage_batch([usage_record(1)])))
        await near.send(Open(stream=1, head=CALL))
        stream = (await heard(far, Open)).stream
        await far.send(Data(stream=stream, body=b"x", fin=True))
        assert (await heard(near, Data)).body == b"x"
        ledger.let.set()
        assert (await heard(near, Stored)).mark.seq == 1


async def test_nodes_reach_the_admin_api_through_the_tunnel_and_it_opens_nothing(bench):
    tunnel = Tunnel()
    bench.group.start_soon(bench.relay.attach, tunnel)
    await anyio.wait_all_tasks_blocked()
    call = replace(CALL, kind="admin", to=NodeId("control"))
    bench.relay.take(A, Open(stream=1, head=call))
    assert tunnel.came == [Open(stream=2, head=replace(call, hops=1))]
    tunnel.send(Data(stream=2, body=b"x", fin=True))
    assert await bench.heard(A) == Data(stream=1, body=b"x", fin=True)
    tunnel.send(Open(stream=3, head=CALL))
    assert await bench.heard(B) is None


async def test_without_a_tunnel_the_admin_api_is_not_reached(bench):
    bench.relay.take(A, Open(stream=1, head=replace(CALL, kind="admin")))
    assert (await bench.heard(A)).code == "session_lost"
