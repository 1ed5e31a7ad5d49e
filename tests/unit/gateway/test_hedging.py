"""A second try of a request that is slow to answer: one of both wins, nothing is left behind."""

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId, ProjectId
from littoral.domain.limits import Budget, Limits
from littoral.domain.policy import Policy, PolicySpec
from littoral.domain.snapshot import Snapshot
from littoral.domain.traffic import TrafficGrant
from littoral.domain.units import Micros, Seconds
from littoral.gateway import health
from littoral.gateway.quota import TEMPLATE_TOKENS

STREAMED = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'


def allow(rig, *, hedge=True, policies=()):
    assignment = Assignment(
        name=DeploymentName("d"), revision=1, serves="m", engine="fake", model="m"
    )
    rig.worker.source.take_snapshot(
        Snapshot(
            epoch=1, version=2, issued_us=Micros(1), node=NodeId("nd"), pepper=b"p" * 32,
            keys=(rig.grant,), assignments=(assignment,),
            traffic=(TrafficGrant(project=ProjectId("p"), hedge=hedge),), limits=rig.limits,
            policies=policies,
        ),
        {name: row for row, name in enumerate(rig.limits)},
    )  # fmt: skip


class Race:
    """A rig of two endpoints that knows what is late, and has budget for second tries."""

    def __init__(self, rig, *, hedge=True):
        self.rig = rig
        rig.endpoints(rig.endpoint(1), rig.endpoint(2))
        allow(rig, hedge=hedge)
        self.hedges = rig.worker.source.traffic["m"].hedges
        for each in self.hedges:
            each.delay_s, each.budget.left = 0.5, 3.0

    def ask(self, body=None):
        """A client's transport, and the first engine's."""
        self.client, transport, _ = self.rig.ask(self.rig.post(body) if body else None)
        return transport, self.engine(1)

    def engine(self, port):
        """The transport of the endpoint at a port, where there is one open."""
        found = [t for t in self.rig.loop.dialled if t.port == port and not t.closed]
        return found[-1] if found else None

    def wait(self):
        """The time of the second try has come."""
        (later,) = [each for each in self.rig.loop.later if each[0] == 0.5]
        self.rig.loop.later.remove(later)
        self.rig.clock.advance(0.5)
        later[1](*later[2])
        self.rig.loop.run()
        return self.engine(2)


@pytest.fixture
def race(make):
    return Race(make())


@pytest.mark.parametrize("winner", [1, 2])
def test_the_first_answer_wins_and_the_other_try_is_cut_off(race, kit, winner):
    transport, _ = race.ask()
    assert race.wait() is not None
    loser = race.engine(3 - winner)
    race.engine(winner).protocol.data_received(kit.answer())
    assert loser.closed
    assert transport.data.count(b"200 OK") == 1
    assert b"x-littoral-route: here/e%d; " % winner in transport.data
    (record,) = race.rig.records()
    assert (record.record.endpoint, record.record.status) == (f"e{winner}", "ok")
    assert race.rig.leaks() == (0, 0, 0)
    assert race.hedges[0].budget.left == pytest.approx(2.05)


@pytest.mark.parametrize("winner", [1, 2])
def test_a_stream_comes_from_one_engine_only(race, kit, winner):
    transport, _ = race.ask(STREAMED)
    race.wait()
    race.engine(winner).protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    assert race.engine(3 - winner) is None
    rest = kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n"
    race.engine(winner).protocol.data_received(rest)
    _, payload, ended = kit.unchunked(transport.data)
    assert payload == kit.event("a") + kit.done
    assert ended
    assert race.rig.leaks() == (0, 0, 0)


def test_a_first_try_that_was_heard_of_in_time_gets_no_second(race, kit):
    _, engine = race.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    assert race.wait() is None


def test_when_the_first_try_fails_the_second_goes_on_alone(race, kit):
    transport, engine = race.ask()
    race.wait()
    engine.protocol.data_received(kit.answer(b"{}", status="500 Broken"))
    assert transport.data == b""
    race.engine(2).protocol.data_received(kit.answer())
    assert b"200 OK" in transport.data
    assert race.rig.worker.counters["retries"] == 0
    assert race.rig.leaks() == (0, 0, 0)


@pytest.mark.parametrize("way", ["lost", "500 Broken"])
def test_when_the_second_try_fails_the_first_goes_on_alone(race, kit, way):
    transport, engine = race.ask()
    second = race.wait()
    if way == "lost":
        second.protocol.connection_lost(None)
    else:
        second.protocol.data_received(kit.answer(b"{}", status=way))
    engine.protocol.data_received(kit.answer())
    assert b"200 OK" in transport.data
    assert race.rig.leaks() == (0, 0, 0)


def test_a_refusal_of_the_request_is_not_raced(race, kit):
    transport, engine = race.ask()
    second = race.wait()
    engine.protocol.data_received(kit.answer(b'{"error":"no"}', status="400 Bad"))
    assert second.closed
    assert b" 400 " in transport.data
    assert race.rig.leaks() == (0, 0, 0)


def test_a_client_that_leaves_stops_both(race):
    _, engine = race.ask()
    second = race.wait()
    race.client.connection_lost(None)
    assert engine.closed
    assert second.closed
    assert race.rig.leaks() == (0, 0, 0)


def test_without_budget_there_is_no_second_try(race):
    race.ask()
    race.hedges[0].budget.left = 0.5
    assert race.wait() is None


def test_without_a_free_slot_there_is_no_second_try(race):
    race.ask()
    places = list(race.rig.worker.source.places())
    places[1].in_flight = 4
    assert race.wait() is None
    places[1].in_flight = 0


def test_a_dearer_place_gets_no_second_try(make):
    race = Race(make())
    rig = race.rig
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, price_out=4.0))
    race.ask()
    assert race.wait() is None


def test_projects_that_do_not_want_it_have_no_timers(make):
    race = Race(make(), hedge=False)
    race.ask()
    assert not [each for each in race.rig.loop.later if each[0] == 0.5]


def test_the_time_that_answers_take_is_learned(race, kit):
    for _ in range(40):
        _, engine = race.ask()
        race.rig.clock.advance(0.25)
        engine.protocol.data_received(kit.answer())
        race.rig.loop.run()
        race.rig.book()
    assert race.hedges[0].delay_s == pytest.approx(0.25, abs=0.01)


def test_a_probe_that_was_slower_than_the_second_try_lets_another_go(race, kit):
    rig = race.rig
    model = rig.worker.source.tables.models["m"]
    (place,) = [each for each in model.places if each.endpoint.id == "e1"]
    for _ in range(5):
        health.bad(model, place, rig.clock.now(), connect=True)
    rig.clock.advance(6.0)
    health.look([model], rig.clock.now())
    race.ask()
    assert place.breaker.probing
    race.wait().protocol.data_received(kit.answer())
    assert not place.breaker.probing
    health.look([model], rig.clock.now())
    assert place.trial


def test_a_second_try_costs_no_more_than_was_reserved(make, kit):
    cap = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":100}'
    here = (len(cap) + TEMPLATE_TOKENS + 200) / 1e6  # at the first place; 2 more at the second
    race = Race(make(limits={"project:p": Limits(budget=Budget(amount=here + 1 / 1e6))}))
    race.rig.endpoints(race.rig.endpoint(1), race.rig.endpoint(2, price_out=2.02))
    transport, engine = race.ask(cap)
    assert race.wait() is None
    engine.protocol.data_received(kit.answer())
    assert b"200 OK" in transport.data


def test_a_second_try_on_a_connection_that_was_dead_already_is_sent_again(race, kit):
    rig = race.rig
    race.ask()
    race.wait().protocol.data_received(kit.answer())  # leaves an idle connection to the second
    rig.book()
    second = race.engine(2)
    transport, engine = race.ask()
    race.wait()
    assert second.data.count(b"POST") == 2
    second.closed = True
    second.protocol.connection_lost(None)
    rig.loop.run()
    model = rig.worker.source.tables.models["m"]
    assert not any(place.breaker.alert for place in model.places)
    race.engine(2).protocol.data_received(kit.answer())
    assert b"200 OK" in transport.data
    assert engine.closed
    assert rig.leaks() == (0, 0, 0)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_after_both_tries_failed_a_third_place_is_asked(make, kit, order):
    race = Race(make())
    rig = race.rig
    rig.endpoints(rig.endpoint(1), rig.endpoint(2), rig.endpoint(3, price_out=2.01))
    transport, _ = race.ask()
    race.wait()
    for port in order:
        race.engine(port).protocol.data_received(kit.answer(b"{}", status="500 Broken"))
    rig.loop.run()
    assert race.engine(3) is not None
    race.engine(3).protocol.data_received(kit.answer())
    assert b"200 OK" in transport.data
    assert rig.leaks() == (0, 0, 0)


def test_no_place_waits_for_the_deadline_of_who_went_on_elsewhere(race, kit):
    allow(race.rig, policies=(Policy(name="p", spec=PolicySpec(total_s=Seconds(60), miss_cost=1)),))
    race.ask()
    first, second = race.rig.worker.source.places()
    assert race.wait() is not None
    race.engine(2).protocol.data_received(kit.answer())
    assert (first.under, second.under) == ({}, {})
