"""Requests that wait in the gateway because every slot of their model is taken."""

import json

import pytest
from msgspec.structs import replace

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId, ProjectId
from littoral.domain.limits import Budget, Limits
from littoral.domain.project import KeyGrant
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros
from littoral.trust.key import mac_of, mint

TOLD = b'{"model":"m","messages":[{"role":"user","content":"%s"}],"max_tokens":5}'


class Crowd:
    """A rig whose endpoints have one slot each, and what came to them in order."""

    def __init__(self, rig):
        self.rig = rig
        self.clients = []

    def ask(self, name, *, extra="", key=None):
        client, transport = self.rig.client()
        client.data_received(
            self.rig.post(TOLD.replace(b"%s", name.encode()), extra=extra, key=key)
        )
        self.rig.loop.run()
        self.clients.append(client)
        return client, transport

    def arrived(self):
        """The contents of every request that an engine was sent, in order."""
        found = []
        for transport in self.rig.loop.dialled:
            for part in transport.data.split(b"\r\n\r\n")[1:]:
                body = part[: part.rindex(b"}") + 1]
                found.append(json.loads(body)["messages"][0]["content"])
        return found

    def answer(self, kit, at=-1):
        """The engine answers on its ``at``-th connection."""
        self.rig.loop.dialled[at].protocol.data_received(kit.answer())
        self.rig.loop.run()

    def tick(self, seconds=0.1):
        self.rig.clock.advance(seconds)
        self.rig.worker.tick()
        self.rig.loop.run()


@pytest.fixture
def crowd(make):
    rig = make()
    rig.endpoints(rig.endpoint(1, slots=1))
    return Crowd(rig)


def two_projects(rig, **fields):
    """A second key in project q, and settings of both."""
    minted = mint(b"q" * 48)
    mac = mac_of(minted.digest, pepper=b"p" * 32)
    other = KeyGrant(id=minted.id, mac=mac, project=ProjectId("q"), scopes=("infer",))
    snapshot(rig, rig.grant, other, **fields)
    return minted.text


def snapshot(rig, *keys, traffic=(), **fields):
    rig.worker.source.take_snapshot(
        Snapshot(
            epoch=1,
            version=2,
            issued_us=Micros(1),
            node=NodeId("nd"),
            pepper=b"p" * 32,
            keys=keys,
            assignments=(
                Assignment(
                    name=DeploymentName("d"),
                    revision=1,
                    serves="m",
                    engine="fake",
                    model="m",
                    **fields,
                ),
            ),
            traffic=traffic,
        ),
        {},
    )


def status(transport):
    return int(transport.data.split()[1]) if transport.data else 0


def test_an_engine_gets_one_request_more_than_it_has_slots_and_the_rest_wait(crowd, kit):
    for name in "abcd":
        crowd.ask(name)
    assert crowd.arrived() == ["a", "b"]
    crowd.answer(kit, 0)
    assert crowd.arrived() == ["a", "c", "b"]
    assert crowd.rig.worker.counters["queued"] == 2


def test_who_waited_is_told_how_long_and_the_engine_is_not_blamed_for_it(crowd, kit):
    crowd.ask("a")
    crowd.ask("b")
    _, waiting = crowd.ask("c")
    crowd.tick(1.5)
    crowd.answer(kit, 0)
    crowd.answer(kit, 0)
    assert b"x-littoral-queued-ms: 1500\r\n" in waiting.data
    record = [r.record for r in crowd.rig.records() if r.settled][-1]
    assert record.total_us < 1_000_000


def test_nobody_who_comes_later_goes_before_those_who_wait(crowd, kit):
    for name in "abc":
        crowd.ask(name)
    engine = crowd.rig.loop.dialled[0]
    engine.protocol.data_received(kit.answer())  # a slot is free, the line not yet called
    crowd.ask("d")
    crowd.rig.loop.run()
    assert crowd.arrived() == ["a", "c", "b"]


def test_projects_take_turns(crowd, kit):
    key = two_projects(crowd.rig)
    for name in ("p0", "p1", "p2", "p3", "p4"):
        crowd.ask(name)
    for name in ("q0", "q1"):
        crowd.ask(name, key=key)
    for _ in range(5):
        crowd.answer(kit, 0)
    assert crowd.rig.loop.dialled[0].data.count(b"POST") == 6
    order = [name for name in crowd.arrived() if name != "p1"]
    assert order == ["p0", "p2", "q0", "p3", "q1", "p4"]


def test_a_higher_priority_goes_first_as_far_as_the_project_may(crowd, kit):
    snapshot(
        crowd.rig, crowd.rig.grant, traffic=(TrafficGrant(project="p", priority="interactive"),)
    )
    for name, level in (("a", "default"), ("b", "default"), ("c", "batch"), ("d", "interactive")):
        crowd.ask(name, extra=f"X-Littoral-Priority: {level}\r\n")
    crowd.answer(kit, 0)
    assert "d" in crowd.arrived()
    assert "c" not in crowd.arrived()


def test_a_priority_above_the_projects_own_counts_as_that(crowd, kit):
    crowd.ask("a")
    crowd.ask("b")
    crowd.ask("c")
    crowd.ask("d", extra="X-Littoral-Priority: interactive\r\n")
    crowd.answer(kit, 0)
    assert "c" in crowd.arrived()
    assert "d" not in crowd.arrived()


def test_an_unknown_priority_is_refused_with_the_known_ones(crowd):
    _, transport = crowd.ask("a", extra="X-Littoral-Priority: urgent\r\n")
    assert status(transport) == 400
    assert b"interactive, default, batch, best-effort" in transport.data


def test_who_could_not_be_in_time_is_refused_at_once_with_the_time_to_wait(crowd):
    for name in "abcdef":
        crowd.ask(name)
    _, transport = crowd.ask("late", extra="X-Littoral-Deadline-Ms: 50\r\n")
    assert status(transport) == 503
    assert b'"code":"overloaded"' in transport.data
    assert b"retry-after: " in transport.data
    assert crowd.rig.worker.counters["shed"] == 1


def test_a_deadline_that_passes_while_waiting_ends_the_wait(crowd):
    for name in "ab":
        crowd.ask(name)
    client, transport = crowd.ask("c", extra="X-Littoral-Deadline-Ms: 20000\r\n")
    assert status(transport) == 0
    crowd.rig.clock.advance(20.1)
    client.expire(crowd.rig.clock.now())
    assert status(transport) == 504
    assert crowd.rig.worker.source.tables.models["m"].queue.count == 0


def test_a_client_that_leaves_while_waiting_leaves_nothing(crowd, kit):
    crowd.ask("a")
    crowd.ask("b")
    client, _ = crowd.ask("c")
    client.connection_lost(None)
    assert crowd.rig.worker.source.tables.models["m"].queue.count == 0
    for at in (0, 1):
        crowd.answer(kit, at)
    assert crowd.rig.leaks() == (0, 0, 0)
    assert crowd.arrived() == ["a", "b"]


def test_a_full_line_refuses_and_says_when_to_come_again(crowd):
    queue = crowd.rig.worker.source.tables.models["m"].queue
    queue._most = 3  # noqa: SLF001  a thousand clients are slow to make
    transports = [crowd.ask(str(number))[1] for number in range(6)]
    assert [status(t) for t in transports] == [0, 0, 0, 0, 0, 503]


def test_when_the_objective_is_missed_the_oldest_interactive_requests_are_sent_away(crowd, kit):
    settings = (TrafficGrant(project="p", priority="interactive"),)
    snapshot(crowd.rig, crowd.rig.grant, traffic=settings, first_token_ms=2000)
    waiting = [crowd.ask(name, extra="X-Littoral-Priority: interactive\r\n")[1] for name in "abcd"]
    crowd.tick(1.5)
    new = crowd.ask("new", extra="X-Littoral-Priority: interactive\r\n")[1]
    for _ in range(8):
        crowd.tick(0.1)
    assert [status(t) for t in waiting] == [0, 0, 503, 503]
    assert status(new) == 0
    crowd.answer(kit, 0)
    assert "new" in crowd.arrived()


def test_a_new_endpoint_calls_those_who_wait(crowd):
    for name in "abc":
        crowd.ask(name)
    rig = crowd.rig
    rig.endpoints(rig.endpoint(1, slots=1), rig.endpoint(2, slots=1))
    crowd.tick()
    assert sorted(crowd.arrived()) == ["a", "b", "c"]


def test_those_who_wait_for_a_model_that_is_taken_away_are_told(crowd):
    transports = [crowd.ask(name)[1] for name in "abc"]
    crowd.rig.snapshot(crowd.rig.grant, serves=("other",))
    crowd.rig.endpoints()
    crowd.tick()
    assert status(transports[2]) == 503
    assert b"no longer served" in transports[2].data


def test_a_request_that_only_a_busy_place_can_serve_does_not_hold_up_the_others(crowd, kit):
    rig = crowd.rig
    rig.endpoints(
        rig.endpoint(1, slots=1), rig.endpoint(2, slots=1, capabilities=("chat", "completions"))
    )
    streamed = TOLD.replace(b"%s", b"s")[:-1] + b',"stream":true}'
    for name in "abcd":
        crowd.ask(name)
    client, _ = rig.client()
    client.data_received(rig.post(streamed))
    crowd.ask("e")
    at = [t.port for t in rig.loop.dialled].index(2)
    crowd.answer(kit, at)
    assert "e" in crowd.arrived()
    assert rig.worker.source.tables.models["m"].queue.count == 1


def test_a_fault_when_ones_turn_comes_is_that_requests_alone(crowd, kit):
    transports = [crowd.ask(name)[1] for name in "abcd"]
    for ticket in crowd.rig.worker.source.tables.models["m"].queue.tickets()[:1]:
        ticket.item.route = replace(ticket.item.route, encode=None)
    crowd.answer(kit, 0)
    assert status(transports[2]) == 500
    assert status(transports[3]) == 0
    crowd.tick()
    assert "d" in crowd.arrived()


def test_a_loop_that_cannot_keep_up_refuses_batch_before_it_reads_a_body(crowd):
    for _ in range(14):
        crowd.tick(0.13)
    _, batch = crowd.ask("a", extra="X-Littoral-Priority: batch\r\n")
    _, usual = crowd.ask("b")
    assert status(batch) == 503
    assert b"too much to do" in batch.data
    assert status(usual) == 0


def test_a_revoked_key_ends_its_waiting_requests(crowd):
    for name in "ab":
        crowd.ask(name)
    client, transport = crowd.ask("c")
    client.cut(client.answering._overloaded(1.0))  # noqa: SLF001  any refusal
    assert status(transport) == 503
    assert crowd.rig.worker.source.tables.models["m"].queue.count == 0


def test_a_request_that_waited_is_held_to_the_limits_of_now(crowd, kit):
    for name in "ab":
        crowd.ask(name)
    _, transport = crowd.ask("c")
    crowd.rig.limits[f"key:{crowd.rig.grant.id}"] = Limits(budget=Budget(amount=0.0))
    crowd.rig.snapshot(crowd.rig.grant)
    crowd.answer(kit)
    assert b"may spend 0 a month" in transport.data
    assert crowd.arrived() == ["a", "b"]


def test_who_is_refused_on_leaving_the_line_costs_its_project_no_turn(crowd, kit):
    key, long = two_projects(crowd.rig), "x" * 8000
    for name in ("p0", "p1"):
        crowd.ask(name)
    _, transport = crowd.ask(long)
    (ticket,) = crowd.rig.worker.source.tables.models["m"].queue.tickets()
    ticket.item.asked.needs = 1 << 30
    crowd.ask("p2")
    for name in ("q0", "q1"):
        crowd.ask(name, key=key)
    for _ in range(2):
        crowd.tick(0.2)
        crowd.answer(kit, 0)
    assert status(transport) == 422
    assert set(crowd.arrived()) == {"p0", "p1", "q0", "p2"}


def test_projects_go_by_their_weights_though_others_look_for_a_place_at_each_turn(crowd, kit):
    weights = (TrafficGrant(project="p"), TrafficGrant(project="q", weight=3.0))
    key = two_projects(crowd.rig, traffic=weights)
    crowd.ask("p0")
    crowd.ask("p1")
    for number in range(6):
        crowd.ask(f"p{number + 2}")
    for number in range(6):
        crowd.ask(f"q{number}", key=key)
    for _ in range(8):
        crowd.tick(0.2)
        crowd.answer(kit, 0)
    assert sum(name.startswith("q") for name in crowd.arrived()) == 6
