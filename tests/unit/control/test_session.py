"""Node sessions over an in-memory channel."""

from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from littoral.app.codec import unpack
from littoral.control.fleet import DISCONNECTED_S
from littoral.control.parts import assemble
from littoral.control.signer import Signer
from littoral.control.vault import Vault
from littoral.domain.errors import StorageFull
from littoral.domain.ids import NodeId
from littoral.domain.link import LIVELY
from littoral.domain.node import Event
from littoral.domain.outbox import Batch, Mark, Redated, Row
from littoral.domain.ports import ChannelClosed
from littoral.domain.session import (
    PROTOCOL,
    Applied,
    Beat,
    Goodbye,
    Hello,
    PartPiece,
    PartsWanted,
    Records,
    Remotes,
    SnapshotOffer,
    Stored,
    Welcome,
)
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.domain.upkeep import Revoke
from littoral.node.incoming import Incoming
from littoral.testing.channel import channel_pair
from littoral.testing.failpoints import Crash
from littoral.testing.usage import usage_batch, usage_record
from littoral.trust.manifest import join, read

pytestmark = pytest.mark.anyio

MASTER = bytes(range(32))
"""The master key of ``conftest``."""

HELLO = Hello(
    protocol=1,
    node=NodeId("nd_1"),
    name="here",
    boot="b1",
    build="0.1.0",
    outbox="ob_1",
    snapshot=(0, 0),
)


def records(first: int, last: int, disk: str = "") -> Records:
    made = [usage_record(n) for n in range(first, last + 1)]
    return Records(outbox="ob_1", batch=usage_batch(made, first, disk=disk))


def stored(upto: int) -> Stored:
    return Stored(outbox="ob_1", lane="ledger", mark=usage_batch([usage_record(upto)], upto).end)


NOTHING = Records(outbox="ob_1", batch=Batch(lane="ledger"))


@asynccontextmanager
async def dialled(site):
    """A channel to a session server under way."""
    near, far = channel_pair()
    async with anyio.create_task_group() as group:
        group.start_soon(site.control.sessions.serve, far)
        yield near
        await near.close()


@asynccontextmanager
async def opened(site, hello: Hello = HELLO):
    """A session after its welcome and first offer."""
    async with dialled(site) as channel:
        await channel.send(hello)
        welcome = await channel.receive()
        assert isinstance(welcome, Welcome)
        yield channel, welcome, await offered(site, channel)


async def offered(site, channel) -> Snapshot:
    """The next snapshot that is offered, all its parts asked for."""
    offer = await frame(channel, SnapshotOffer)
    keys = Signer(site.state, Vault(MASTER, site.entropy), clock=site.clock, entropy=site.entropy)
    manifest = read(offer.manifest, keys.keys.publics, unpack=unpack)
    incoming = Incoming(offer.manifest, manifest, {})
    await channel.send(PartsWanted(digests=("unknown", *incoming.missing())))
    while incoming.missing():
        incoming.take(await frame(channel, PartPiece))
    return join(manifest, incoming.parts, unpack=unpack)


async def frame(channel, kind):
    """The next frame, but for what the node is told of others."""
    while isinstance(found := await channel.receive(), Remotes):
        pass
    assert isinstance(found, kind), found
    return found


async def test_a_node_is_welcomed_and_offered_its_snapshot(site):
    async with opened(site) as (_, welcome, snapshot):
        assert (welcome.protocol, welcome.stored) == (1, {"ledger": Mark()})
        assert (snapshot.node, snapshot.epoch, snapshot.version) == (HELLO.node, 1, 1)
        assert [grant.id for grant in snapshot.keys] == [site.admin.split("-")[2]]


async def test_a_newer_node_that_speaks_our_protocol_too_is_welcome(site):
    async with dialled(site) as channel:
        await channel.send(replace(HELLO, protocol=PROTOCOL + 1, least=PROTOCOL))
        assert (await frame(channel, Welcome)).protocol == PROTOCOL


async def test_another_protocol_is_told_goodbye(site):
    async with dialled(site) as channel:
        await channel.send(replace(HELLO, protocol=PROTOCOL + 1, least=PROTOCOL + 1))
        assert (await frame(channel, Goodbye)).code == "protocol"
        with pytest.raises(ChannelClosed):
            await channel.receive()
    assert site.control.desk.fleet.nodes() == []


async def test_a_first_frame_that_is_no_hello_is_told_goodbye(site):
    async with dialled(site) as channel:
        await channel.send(Beat(number=1))
        assert (await frame(channel, Goodbye)).code == "protocol"


async def test_a_change_is_offered_with_the_next_version(site, given):
    async with opened(site) as (channel, _, snapshot):
        body = {"documents": [given.FAKE]}
        assert (await site.ask("POST", "/apply", json=body)).status_code == 200
        offer = await offered(site, channel)
        assert offer.version == snapshot.version + 1
        assert [item.name for item in offer.assignments] == ["echo"]


async def test_revoking_a_key_is_offered_at_once(site):
    async with opened(site) as (channel, _, _):
        answer = await site.ask("POST", "/keys", json={"name": "k", "scopes": ["infer"]})
        key = answer.json()["key"]["id"]
        minted = await offered(site, channel)
        await site.ask("DELETE", f"/keys/{key}")
        assert (await frame(channel, Revoke)).keys == (key,)
        revoked = await offered(site, channel)
        assert [grant.revoked for grant in minted.keys if grant.id == key] == [False]
        assert [grant.revoked for grant in revoked.keys if grant.id == key] == [True]


async def test_a_ring_without_a_change_offers_nothing(site, given):
    async with opened(site) as (channel, _, snapshot):
        site.control.desk.bell.ring()
        await site.ask("POST", "/apply", json={"documents": [given.FAKE]})
        offer = await offered(site, channel)
        assert offer.version == snapshot.version + 1


async def test_records_are_applied_once_and_answered_with_the_cursor(site):
    async with opened(site) as (channel, _, _):
        await channel.send(records(1, 3))
        assert (await frame(channel, Stored)) == stored(3)
        await channel.send(records(2, 5))
        assert (await frame(channel, Stored)) == stored(5)
        await channel.send(records(7, 8))
        assert (await frame(channel, Stored)) == stored(5)
        await channel.send(records(6, 8, disk="copy"))
        assert (await frame(channel, Stored)) == stored(5)
    assert [each.event.code for each in site.parts.events.after(0)] == ["outbox.gap", "node.cloned"]
    async with opened(site) as (_, welcome, _):
        assert welcome.stored == {"ledger": stored(5).mark}
    [total] = site.ledger.sums(by=())
    assert (total.requests, total.tokens_out) == (5, 1 + 2 + 3 + 4 + 5)


async def test_a_death_between_applying_and_saying_so_doubles_nothing(site):
    for failpoint in ("records.applied", "stored.sent"):
        site.failpoints.arm(failpoint)
        async with opened(site) as (channel, welcome, _):
            last = welcome.stored["ledger"].seq + 2
            await channel.send(records(welcome.stored["ledger"].seq + 1, last))
            assert (await frame(channel, Goodbye)).code == "internal"
        async with opened(site) as (channel, welcome, _):
            assert welcome.stored["ledger"].seq == last
            await channel.send(records(1, last))
            assert (await frame(channel, Stored)) == stored(last)
    assert all(error.subgroup(Crash) for _, error in site.reports)
    assert len(site.reports) == 2
    assert site.ledger.sums(by=())[0].requests == 4


async def test_a_full_disk_ends_the_session_without_a_cursor(site):
    def full(*_):
        raise StorageFull("no room")

    site.ledger.apply = full
    async with opened(site) as (channel, _, _):
        await channel.send(records(1, 1))
        goodbye = await frame(channel, Goodbye)
        assert (goodbye.code, goodbye.after_s > 0) == ("storage_full", True)


async def test_of_two_sessions_of_one_node_the_newer_wins(site, given):
    async with (
        opened(site) as (older, _, _),
        opened(site, replace(HELLO, boot="b2")) as (newer, _, _),
    ):
        assert (await frame(older, Goodbye)).code == "superseded"
        with pytest.raises(ChannelClosed):
            await older.receive()
        await newer.send(Beat(number=1, status=given.node_status()))
        await newer.send(NOTHING)
        await frame(newer, Stored)
        [node] = site.control.desk.fleet.nodes()
        assert node.state == "connected"


async def test_a_node_that_is_not_heard_becomes_suspect_then_disconnected(site, given):
    def state() -> str:
        return site.control.desk.fleet.nodes()[0].state

    async with opened(site) as (channel, _, _):
        assert state() == "joined"
        await channel.send(Beat(number=1, status=given.node_status()))
        await channel.send(NOTHING)
        await frame(channel, Stored)
        assert state() == "connected"
        site.clock.advance(LIVELY.suspect_s)
        assert state() == "suspect"
        site.clock.advance(DISCONNECTED_S - LIVELY.suspect_s)
        assert state() == "disconnected"
        for doubted in ("suspect", "connected"):
            await channel.send(NOTHING)
            await frame(channel, Stored)
            assert state() == doubted
            site.clock.advance(LIVELY.beat_s)
    assert state() == "disconnected"


async def test_a_wrong_date_is_booked_as_the_true_one_and_a_doubtful_one_is_told(site):
    known, doubtful = Redated(first=1, last=1, by_us=-7_000_000), Redated(first=2, last=3)
    sent = records(1, 3)
    sent = replace(sent, batch=replace(sent.batch, redated=(known, doubtful)))
    was = min(usage_record(1).at_us, site.clock.wall())
    async with opened(site) as (channel, _, _):
        for _ in range(2):
            await channel.send(sent)
            assert await frame(channel, Stored) == stored(3)
            site.clock.advance(1)  # else what is told twice is one event
    booked = [site.ledger.record(f"rq_{n}")[0].at_us for n in (1, 2, 3)]
    assert booked == [usage_record(1).at_us - 7_000_000, was, was]
    told = [each.event.code for each in site.parts.events.after(0)]
    assert told == ["outbox.dates_doubtful"]


async def test_what_a_node_says_is_kept_without_credentials(site, given):
    endpoint = given.endpoint("remote", credential="sk-canary-41")
    event = Event(
        at_us=Micros(1), level="warning", subject="engine", code="engine.crashed", message="boom"
    )
    status = given.node_status(endpoints=[endpoint])
    news = Batch(lane="event", rows=(Row(seq=1, mac=b"a", event=event),))
    async with opened(site) as (channel, _, _):
        await channel.send(Beat(number=1, status=status))
        await channel.send(Applied(epoch=1, version=1, ok=True))
        await channel.send(Applied(epoch=1, version=2, ok=False, reason="no room"))
        await channel.send(Records(outbox="ob_1", batch=news))
        heard = await frame(channel, Stored)
        assert heard == Stored(outbox="ob_1", lane="event", mark=Mark(seq=1, mac=b"a"))
        shown = await site.ask("GET", "/nodes/nd_1")
        events = (await site.ask("GET", "/events")).json()["items"]
    assert "canary" not in shown.text
    assert shown.json()["status"]["endpoints"][0]["id"] == "remote-0"
    assert [item["event"]["code"] for item in events] == ["engine.crashed", "snapshot.refused"]
    assert [item["node"] for item in events] == ["nd_1", ""]
    async with opened(site) as (_, welcome, _):
        assert welcome.stored == {"event": heard.mark, "ledger": Mark()}


async def test_a_node_that_serves_something_newer_is_caught_up_with(site):
    async with opened(site, replace(HELLO, snapshot=(3, 41))) as (_, _, snapshot):
        assert (snapshot.epoch, snapshot.version) == (3, 42)
    site.start()
    async with opened(site, replace(HELLO, snapshot=(3, 42))) as (_, _, snapshot):
        assert (snapshot.epoch, snapshot.version) == (3, 42)


async def test_a_restart_offers_the_same_version_again(site, given):
    async with opened(site) as (channel, _, _):
        await site.ask("POST", "/apply", json={"documents": [given.FAKE]})
        before = await offered(site, channel)
    site.start()
    async with opened(site, replace(HELLO, snapshot=(1, before.version))) as (_, _, after):
        assert (after.version, after.assignments) == (before.version, before.assignments)
        assert [node.id for node in site.control.desk.fleet.nodes()] == ["nd_1"]


async def test_a_failure_of_one_session_is_reported_and_does_not_spread(site):
    def broken(*_):
        raise RuntimeError("canary")

    cursor, site.ledger.cursor = site.ledger.cursor, broken
    async with dialled(site) as channel:
        await channel.send(HELLO)
        assert (await frame(channel, Goodbye)).code == "internal"
    assert [what for what, _ in site.reports] == ["session"]
    site.ledger.cursor = cursor
    async with opened(site):
        pass


@pytest.mark.parametrize("opening", [[], [HELLO]])
async def test_a_silent_node_is_told_goodbye(site, opening):
    sessions = assemble(replace(site.parts, silence_s=Seconds(0.05))).sessions
    near, far = channel_pair()
    for frame_ in opening:
        await near.send(frame_)
    await sessions.serve(far)
    last = await near.receive()
    while not isinstance(last, Goodbye):
        last = await near.receive()
    await near.close()
    assert last.code == ("silent" if opening else "protocol")


async def test_a_new_key_is_answered_once_the_node_serves_it(site):
    async with opened(site) as (channel, _, snapshot):
        await channel.send(Applied(epoch=snapshot.epoch, version=snapshot.version, ok=True))
        answered = anyio.Event()

        async def mint() -> None:
            await site.ask("POST", "/keys", json={"name": "alice"})
            answered.set()

        async with anyio.create_task_group() as group:
            group.start_soon(mint)
            offer = await offered(site, channel)
            await anyio.wait_all_tasks_blocked()
            assert not answered.is_set()
            await channel.send(Applied(epoch=offer.epoch, version=offer.version, ok=True))
            with anyio.fail_after(1.0):
                await answered.wait()


async def test_a_node_that_leaves_does_not_hold_up_a_new_key(site):
    async with opened(site) as (channel, _, _snapshot), anyio.create_task_group() as group:
        group.start_soon(channel.close)
        with anyio.fail_after(1.0):
            answer = await site.ask("POST", "/keys", json={"name": "alice"})
        assert answer.status_code == 201
