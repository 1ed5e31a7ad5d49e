"""A cascade: a first answer is judged before anybody sees it, and a second one asked for."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cascades import ABLE, FAR, HI, NEAR, Two, asked, said
from littoral.domain.decided import why_of
from littoral.domain.ids import DeploymentName
from littoral.domain.limits import Budget, Limits
from littoral.domain.local import Recording
from littoral.domain.traffic import CachePolicy
from littoral.domain.units import Seconds
from littoral.gateway import request
from littoral.gateway.refusal import Refusal
from littoral.gateway.route import CHAT
from littoral.gateway.wire.inner import Inner


@pytest.fixture
def two(rig, kit):
    return Two(rig, kit)


def test_a_sure_answer_is_given_as_it_is_without_the_log_probabilities(two):
    engine = two.ask()
    assert engine.port == 1
    assert (asked(engine)["logprobs"], asked(engine)["top_logprobs"]) == (True, 1)
    two.answers(engine, said(0.9))
    assert two.head["x-littoral-cascade"] == "first"
    assert two.body["choices"][0]["logprobs"] is None
    assert two.records() == [(0, "near", "ok", 5)]
    assert two.open() == [1]
    assert two.rig.leaks() == (0, 0, 0)


def test_an_unsure_answer_is_replaced_by_that_of_the_second_and_both_are_booked(two):
    two.answers(two.ask(), said(0.5, "maybe"))
    assert two.transport.data == b""
    second = two.rig.loop.dialled[-1]
    assert second.port == 2
    assert "logprobs" not in asked(second)
    two.answers(second)
    assert two.body["choices"][0]["message"]["content"] == "yes"
    assert two.head["x-littoral-cascade"] == "then; confidence 0.500 below 0.6"
    assert two.head["x-littoral-route"] == "here/e2; escalated"
    assert two.head["x-littoral-cost"] == "0.000017000"
    assert two.records() == [(0, "near", "ok", 5), (1, "far", "ok", 5)]
    assert [why_of(each.record.decided) for each in two.rig.records()] == ["only", "escalated"]
    counters = two.rig.worker.counters
    assert (counters["cascades"], counters["escalations"], counters["unescalated"]) == (1, 1, 0)
    assert two.rig.leaks() == (0, 0, 0)


def test_the_cost_is_that_of_both_answers(rig, kit):
    places = [rig.endpoint(1, deployment=NEAR, capabilities=ABLE), rig.endpoint(2, deployment=FAR)]
    two = Two(rig, kit, places=places)
    two.answers(two.ask(), said(0.1))
    two.answers(rig.loop.dialled[-1])
    assert two.head["x-littoral-cost"] == "0.000034000"
    assert sum(each.record.cost for each in rig.records()) == pytest.approx(34e-6)


def test_a_caller_who_asks_for_log_probabilities_gets_those_of_the_answer_given(two):
    engine = two.ask(logprobs=True)
    assert "top_logprobs" not in asked(engine)
    two.answers(engine, said(0.9))
    assert two.body["choices"][0]["logprobs"]["content"]


@pytest.mark.parametrize(
    ("rule", "text", "told"),
    [
        ({"answers": ("yes", "no")}, "perhaps", "not one of the answers"),
        ({"schema": {"type": "object"}}, "[]", "not of the schema"),
    ],
)
def test_a_declared_check_judges_by_the_text_alone(rig, kit, rule, text, told):
    rig.endpoint(1)
    two = Two(rig, kit, places=[rig.endpoint(1, deployment=NEAR), rig.endpoint(2, deployment=FAR)],
              **rule)  # fmt: skip
    engine = two.ask()
    assert "logprobs" not in asked(engine)
    two.answers(engine, said(text=text))
    two.answers(rig.loop.dialled[-1])
    assert two.head["x-littoral-cascade"] == f"then; {told}"


@pytest.mark.parametrize("fields", [{"stream": True}, {"n": 2}])
def test_streams_and_several_answers_are_placed_as_without_a_cascade(rig, kit, fields):
    able = (*ABLE, "many_choices")
    places = [
        rig.endpoint(1, deployment=NEAR, capabilities=able),
        rig.endpoint(2, deployment=FAR, capabilities=able, price_in=0.0, price_out=0.0),
    ]
    two = Two(rig, kit, places=places)
    two.speed(e1=2.0, e2=1.0)
    engine = two.ask(**fields)
    assert engine.port == 2
    assert "logprobs" not in asked(engine)


def test_a_first_place_that_tells_no_probabilities_is_not_judged_by_them(rig, kit):
    places = [
        rig.endpoint(1, deployment=NEAR, price_in=9.0),
        rig.endpoint(2, deployment=FAR),
    ]
    assert Two(rig, kit, places=places).ask().port == 2


@pytest.mark.parametrize(("total_s", "port"), [(3.5, 1), (2.9, 2)])
def test_there_is_a_cascade_only_where_both_bounds_fit_into_the_deadline(rig, kit, total_s, port):
    places = [
        rig.endpoint(1, deployment=NEAR, capabilities=ABLE, price_in=9.0),
        rig.endpoint(2, deployment=FAR, capabilities=ABLE),
    ]
    two = Two(rig, kit, places=places, spec={"total_s": Seconds(total_s)}, below=0.6)
    two.speed(e1=1.0, e2=2.0)
    assert two.ask().port == port


def test_without_the_time_for_a_second_answer_the_first_one_stands(rig, kit):
    two = Two(rig, kit, spec={"total_s": Seconds(4.0)}, below=0.6)
    two.speed(e1=1.0, e2=2.0)
    engine = two.ask()
    rig.clock.advance(2.5)
    two.answers(engine, said(0.3, "late"))
    assert two.head["x-littoral-cascade"] == "first; confidence 0.300 below 0.6; deadline"
    assert two.body["choices"][0]["message"]["content"] == "late"
    assert two.records() == [(0, "near", "ok", 5)]
    assert rig.worker.counters["unescalated"] == 1
    assert rig.leaks() == (0, 0, 0)


def test_the_callers_own_deadline_counts_as_well(two):
    two.speed(e1=1.0, e2=2.0)
    raw = two.rig.post(extra="x-littoral-deadline-ms: 2500\r\n")
    _, two.transport, engine = two.rig.ask(raw)
    assert "logprobs" not in asked(engine)


def test_a_second_answer_that_comes_too_late_is_cut_off_and_the_first_one_given(rig, kit):
    two = Two(rig, kit, spec={"total_s": Seconds(4.0)}, below=0.6)
    two.speed(e1=1.0, e2=2.0)
    two.answers(two.ask(), said(0.3))
    rig.clock.advance(4.5)
    two.client.expire(rig.clock.now())
    assert two.head["x-littoral-cascade"] == "first; confidence 0.300 below 0.6; deadline"
    assert two.head["x-littoral-route"].startswith("here/e1; ")
    assert two.records() == [(0, "near", "ok", 5), (1, "far", "failed", 0)]
    assert rig.leaks() == (0, 0, 0)


@pytest.mark.parametrize("way", ["lost", "500 Broken", "400 Bad"])
def test_where_the_second_fails_the_first_answer_is_given(two, way):
    two.answers(two.ask(), said(0.5, "first"))
    second = two.rig.loop.dialled[-1]
    if way == "lost":
        second.protocol.connection_lost(None)
        two.rig.loop.run()
    else:
        two.answers(second, b'{"error":"no"}', status=way)
    assert two.body["choices"][0]["message"]["content"] == "first"
    assert two.head["x-littoral-cascade"].startswith("first; confidence 0.500 below 0.6; ")
    assert two.records() == [(0, "near", "ok", 5), (1, "far", "failed", 0)]
    assert two.rig.leaks() == (0, 0, 0)


def test_a_second_place_of_the_second_deployment_is_tried_before_that(rig, kit):
    places = [rig.endpoint(1, deployment=NEAR, price_in=0.0, price_out=0.0, capabilities=ABLE)]
    places += [rig.endpoint(port, deployment=FAR) for port in (2, 3)]
    two = Two(rig, kit, places=places)
    two.answers(two.ask(), said(0.5))
    two.answers(rig.loop.dialled[-1], b"{}", status="500 Broken")
    assert rig.loop.dialled[-1].port == 3
    two.answers(rig.loop.dialled[-1])
    assert two.head["x-littoral-cascade"].startswith("then; ")
    assert rig.leaks() == (0, 0, 0)


def test_a_second_try_has_no_more_time_than_the_first_answer_left(rig, kit):
    places = [rig.endpoint(1, deployment=NEAR, price_in=0.0, price_out=0.0, capabilities=ABLE)]
    places += [rig.endpoint(port, deployment=FAR) for port in (2, 3)]
    two = Two(rig, kit, places=places, spec={"total_s": Seconds(4.0)}, below=0.6)
    two.speed(e1=1.0, e2=2.0, e3=2.0)
    two.answers(two.ask(), said(0.5))
    rig.clock.advance(2.0)
    two.answers(rig.loop.dialled[-1], b"{}", status="500 Broken")
    assert two.head["x-littoral-cascade"].startswith("first; ")
    assert [each.port for each in rig.loop.dialled] == [1, 2]


def test_where_the_first_fails_another_first_one_is_asked_then_any(rig, kit):
    places = [rig.endpoint(port, deployment=NEAR, capabilities=ABLE, price_in=port)
              for port in (1, 2)]  # fmt: skip
    two = Two(rig, kit, places=[*places, rig.endpoint(3, deployment=FAR, capabilities=ABLE)])
    two.rig.worker.source.tables.models["m"].retries.left = 5.0
    two.answers(two.ask(), b"{}", status="500 Broken")
    second = rig.loop.dialled[-1]
    assert (second.port, asked(second)["logprobs"]) == (2, True)
    two.answers(second, b"{}", status="500 Broken")
    last = rig.loop.dialled[-1]
    assert (last.port, "logprobs" in asked(last)) == (3, False)
    two.answers(last)
    assert "x-littoral-cascade" not in two.head
    assert rig.leaks() == (0, 0, 0)


def test_what_is_no_answer_counts_as_a_failure_of_its_engine(two):
    two.answers(two.ask(), b'{"usage":{"prompt_tokens":1}}')
    assert two.open()[-1] == 2
    two.answers(two.rig.loop.dialled[-1])
    assert "x-littoral-cascade" not in two.head
    assert two.rig.leaks() == (0, 0, 0)


def test_a_budget_that_has_no_more_lets_the_first_answer_stand(make, kit):
    rig = make(limits={"project:p": Limits(budget=Budget(amount=500e-6))})
    places = [
        rig.endpoint(1, deployment=NEAR, capabilities=ABLE, max_tokens=5),
        rig.endpoint(2, deployment=FAR, price_in=9.0, price_out=9.0, max_tokens=5),
    ]
    two = Two(rig, kit, places=places)
    two.answers(two.ask(), said(0.5))
    assert two.head["x-littoral-cascade"].endswith("; budget_exhausted")
    assert two.head["x-littoral-cost"] == "0.000017000"
    assert two.records() == [(0, "near", "ok", 5)]
    assert rig.leaks() == (0, 0, 0)


def test_both_calls_are_one_request_for_its_limits(make, kit):
    rig = make(limits={"project:p": Limits(requests_per_minute=2, concurrent=1)})
    two = Two(rig, kit)
    two.answers(two.ask(), said(0.5))
    two.answers(rig.loop.dialled[-1])
    assert two.head["x-littoral-cascade"].startswith("then; ")
    rig.book()
    two.ask()
    two.answers(rig.loop.dialled[0], said(0.9))
    assert two.head["x-littoral-cascade"] == "first"
    assert two.head["x-ratelimit-remaining-requests"] == "0"


def test_a_full_flight_table_lets_the_first_answer_stand(two):
    engine = two.ask()
    flights = two.rig.worker.flights
    taken = [flights.take() for _ in range(flights.idle)]
    two.answers(engine, said(0.5))
    assert two.head["x-littoral-cascade"].endswith("; overloaded")
    for slot in taken:
        flights.put_back(slot)
    assert two.rig.leaks() == (0, 0, 0)


def test_a_full_ledger_lets_the_first_answer_stand(two):
    engine = two.ask()
    two.rig.worker.recording = Recording(full=True)
    two.answers(engine, said(0.5))
    assert two.head["x-littoral-cascade"].startswith("first; confidence 0.500 below 0.6; ")
    assert two.records() == [(0, "near", "ok", 5)]
    assert two.rig.leaks() == (0, 0, 0)


def test_a_caller_who_leaves_stops_the_second_as_well(two):
    two.answers(two.ask(), said(0.5))
    two.client.connection_lost(None)
    assert two.rig.loop.dialled[-1].closed
    assert two.records() == [(0, "near", "ok", 5), (1, "far", "cancelled", 0)]
    assert two.rig.leaks() == (0, 0, 0)


def test_whose_key_is_revoked_meanwhile_gets_neither_answer(two):
    two.answers(two.ask(), said(0.5))
    two.client.answering.cut(Refusal(401, "unauthenticated", "revoked"))
    assert two.kit.status_of(two.transport) == 401
    assert two.rig.leaks() == (0, 0, 0)


def test_an_answer_that_was_not_good_enough_is_kept_for_nobody(rig, kit):
    two = Two(rig, kit)
    rig.share(cache=CachePolicy(every=True))
    engine = two.ask(temperature=0)
    taken = [rig.worker.flights.take() for _ in range(rig.worker.flights.idle)]
    two.answers(engine, said(0.5))
    assert two.head["x-littoral-cascade"].startswith("first; ")
    for slot in taken:
        rig.worker.flights.put_back(slot)
    two.ask(temperature=0)
    assert two.transport.data == b""


def test_hedges_are_not_sent_beside_a_cascade(two):
    two.rig.share(hedge=True)
    two.ask()
    assert not [each for each in two.rig.loop.later if each[0] == 0.5]
    assert two.rig.worker.counters["hedges"] == 0


def test_another_dialect_gets_the_second_answer_in_its_own_shape(two):
    body = json.dumps(HI | {"max_tokens": 9}).encode()
    _, two.transport, engine = two.rig.ask(two.rig.post(body, path="/v1/messages"))
    two.answers(engine, said(0.5, "first"))
    two.answers(two.rig.loop.dialled[-1])
    assert two.body["content"][0]["text"] == "yes"
    assert two.head["x-littoral-cascade"].startswith("then; ")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.sampled_from(["near", "far", "else"]), st.booleans()), max_size=4),
    st.lists(st.sampled_from(["good", "low", "500 Broken", "lost"]), min_size=6, max_size=6),
    st.floats(0.1, 6.0),
    st.lists(st.floats(0.0, 3.0), min_size=6, max_size=6),
)
def test_no_sequence_of_failures_leaves_the_allowed_set_or_escalates_without_slack(
    make, kit, fleet, course, total_s, waits
):
    rig = make()
    names = [("near", False), ("far", False), *fleet]
    places = [
        rig.endpoint(
            port, deployment=DeploymentName(name), capabilities=ABLE, remote=remote, price_in=0.0
        )
        for port, (name, remote) in enumerate(names, 1)
    ]
    spec = {"total_s": Seconds(total_s), "residency": "edge-only", "deployments": (NEAR, FAR)}
    two = Two(rig, kit, places=places, spec=spec, below=0.6)
    two.speed(**{f"e{port}": 1.0 for port in range(1, len(names) + 1)})
    began = rig.clock.now()
    two.ask()
    assert rig.loop.dialled, "whatever the deadline, somebody is asked"
    for wait, event in zip(waits, course, strict=True):
        if not rig.worker.in_flight:
            break
        before, engine = len(rig.loop.dialled), rig.loop.dialled[-1]
        rig.clock.advance(wait)
        if event == "lost":
            engine.protocol.connection_lost(None)
            rig.loop.run()
        elif event == "500 Broken":
            two.answers(engine, b"{}", status=event)
        else:
            two.answers(engine, said(0.9 if event == "good" else 0.1))
        escalated = rig.worker.counters["escalations"] and len(rig.loop.dialled) > before
        if escalated and names[rig.loop.dialled[-1].port - 1][0] == "far":
            assert rig.clock.now() + 1.0 <= began + total_s
    for engine in rig.loop.dialled:
        name, remote = names[engine.port - 1]
        assert name in {"near", "far"}
        assert not remote


def test_what_the_gateway_asks_by_itself_has_no_cascade(two):
    heard = []

    class Ear:
        def piece(self, payload):
            heard.append(payload)

        def refused(self, refusal):
            raise AssertionError(refusal)

        def ended(self, *, good):
            assert good

    worker, key = two.rig.worker, two.rig.worker.source.tables.keys[two.rig.grant.id]
    inner = Inner(worker, Ear(), worker.request_id(), key=key)
    inner.ask(CHAT, request.read_chat(json.dumps(HI).encode()), size=60, total_s=60.0)
    two.rig.loop.run()
    engine = two.rig.loop.dialled[-1]
    assert "logprobs" not in asked(engine)
    two.answers(engine, said(0.1))
    assert len(heard) == 1


def test_a_stored_response_has_no_cascade(two):
    body = json.dumps({"model": "m", "input": "hi", "store": True}).encode()
    _, _, engine = two.rig.ask(two.rig.post(body, path="/v1/responses"))
    assert "logprobs" not in asked(engine)
    body = json.dumps({"model": "m", "input": "hi"}).encode()
    two.rig.ask(two.rig.post(body, path="/v1/responses"))
    assert "logprobs" in asked(two.rig.loop.dialled[-1])


def test_a_new_version_that_runs_beside_the_first_takes_its_share_of_first_answers(rig, kit):
    beside = DeploymentName("near.next")
    places = [rig.endpoint(1, deployment=beside, price_in=0.0, capabilities=ABLE)]
    two = Two(rig, kit, places=[*places, rig.endpoint(2, deployment=FAR, capabilities=ABLE)])
    engine = two.ask()
    assert (engine.port, asked(engine)["logprobs"]) == (1, True)
