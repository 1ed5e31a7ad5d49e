"""Some questions are put to the other deployment, too: what that asks, finds, and never does."""

import json
from dataclasses import replace

import pytest

from audited import AUDITED, JUDGED, Audited
from littoral.domain.audit import Standing
from littoral.domain.ids import DeploymentName
from littoral.domain.limits import Budget, Limits
from littoral.domain.policy import Judge
from littoral.gateway.wire.auditing import AT_ONCE
from littoral.testing.quota import bound_whole


@pytest.fixture
def audited(rig, kit):
    return Audited(rig, kit)


def test_the_other_deployment_is_asked_the_same_once_the_caller_has_its_answer(audited):
    audited.declare()
    served, others = audited.ask(text="yes")
    assert served == 1
    (other,) = others
    assert other.port == 2
    audited.reply(other, "no")
    (finding,) = audited.findings()
    assert (finding.loss, finding.cheap, finding.probability) == (1.0, True, 1.0)
    assert finding.cost == pytest.approx(7e-6)
    assert (finding.policy, finding.tag, finding.candidate) == ("p", "p", "near")


def test_the_same_answer_but_for_blanks_is_no_loss(audited):
    _, (other,) = audited.declare().ask(text="a  b\n")
    audited.reply(other, "a b")
    assert audited.findings()[0].loss == 0.0


def test_what_an_audit_used_is_in_the_books_beside_what_it_audits(audited):
    _, (other,) = audited.declare().ask()
    audited.reply(other, "no")
    names = sorted(each.record.request[:4] for each in audited.rig.records())
    assert names == ["aud_", "req_"]
    assert len({each.record.request[4:] for each in audited.rig.records()}) == 1


def vote(rig, **fields):
    return rig.post(json.dumps(fields).encode(), path="/v1/votes")


def test_a_vote_goes_on_to_control(audited, kit):
    client, transport = audited.rig.client()
    client.data_received(vote(audited.rig, request="req_abc123", score=0.5))
    assert kit.status_of(transport) == 200
    assert kit.body_of(transport) == {"object": "vote", "request": "req_abc123", "score": 0.5}
    (frame,) = audited.sent
    assert (frame.vote.request, frame.vote.score) == ("req_abc123", 0.5)
    assert frame.vote.key == audited.rig.grant.id


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"request": "req_1"}, "score"),
        ({"request": "req_1", "score": 2}, "score"),
        ({"request": "chat-1", "score": 1}, "request"),
    ],
)
def test_what_is_no_vote_is_refused(audited, kit, fields, param):
    client, transport = audited.rig.client()
    client.data_received(vote(audited.rig, **fields))
    assert kit.status_of(transport) == 400
    assert kit.body_of(transport)["error"]["param"] == param
    assert audited.sent == []


def test_votes_are_posted_and_need_a_node(audited, kit):
    audited.rig.worker.audit = None
    for method, status in (("GET", 405), ("POST", 503)):
        client, transport = audited.rig.client()
        raw = vote(audited.rig, request="req_1", score=1)
        client.data_received(raw.replace(b"POST", method.encode(), 1))
        assert kit.status_of(transport) == status


TESTED = replace(AUDITED, judge=Judge(kind="test", pattern="^[0-9]+$"))


def test_a_dear_answer_is_audited_by_asking_the_cheap_place(audited):
    _, (other,) = audited.declare(TESTED, deployments=("far", "near")).ask()
    assert other.port == 2
    audited.reply(other, "42")
    audited.declare(TESTED, standing=held(tags=()))
    served, (other,) = audited.ask(text="42")
    assert (served, other.port) == (2, 1)
    audited.reply(other, "42")
    first, second = audited.findings()
    assert (first.loss, first.cheap) == (1.0, True)
    assert (second.loss, second.cheap, second.probability) == (0.0, False, 0.9)


def test_answers_longer_than_their_pattern_is_bounded_on_are_not_judged(audited):
    anywhere = replace(AUDITED, judge=Judge(kind="test", pattern="[0-9]+$"))
    _, (other,) = audited.declare(anywhere).ask()
    audited.reply(other, "1" * 9000 + "b")
    assert audited.findings() == []
    assert audited.rig.worker.counters["audits_failed"] == 1


def held(tags, *, cheap=0.9, dear=0.9):
    """A standing that audits have decided."""
    near = DeploymentName("near")
    return Standing(
        policy="p", candidate=near, decided=True, tags=tuple(tags), cheap=cheap, dear=dear
    )


def test_a_tag_that_is_held_goes_to_the_reference_and_another_does_not(audited):
    assert audited.declare(standing=held(["p"])).ask()[0] == 1
    assert audited.declare(standing=held([])).ask()[0] == 2


def test_the_answer_of_a_stream_is_audited_too(audited, kit):
    audited.declare()
    audited.rig.loop.dialled.clear()
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    _, _, engine = audited.rig.ask(audited.rig.post(body))
    engine.protocol.data_received(streamed(kit, "ye", "s"))
    audited.rig.loop.run()
    (other,) = audited.waiting()
    other.protocol.data_received(streamed(kit, "y", "es"))
    audited.rig.loop.run()
    assert [each.loss for each in audited.findings()] == [0.0]


def streamed(kit, *texts):
    events = [
        {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in texts
    ]
    events.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    data = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in events)
    return kit.stream_head + kit.chunk(data + b"data: [DONE]\n\n") + b"0\r\n\r\n"


@pytest.fixture
def judged(audited):
    """The same with a place whose model judges."""
    rig = audited.rig
    rig.endpoints(
        rig.endpoint(1, deployment=DeploymentName("near"), price_in=0.0, price_out=0.0),
        rig.endpoint(2, deployment=DeploymentName("far"), price_in=1.0, price_out=1.0),
        rig.endpoint(3, deployment=DeploymentName("sage"), serves="sage"),
    )
    return audited.declare(JUDGED)


def test_a_model_judges_with_each_answer_first_once(judged):
    _, (other,) = judged.ask(text="mine")
    judged.reply(other, "theirs")
    (sage,) = judged.waiting()
    assert sage.port == 3
    assert sage.data.index(b"theirs") < sage.data.index(b"mine")
    before = len(sage.data)
    judged.reply(sage, "A")
    (sage,) = judged.waiting()
    asked = sage.data[before:] if len(sage.data) > before else sage.data
    assert asked.index(b"mine") < asked.index(b"theirs")
    judged.reply(sage, "B")
    assert [each.loss for each in judged.findings()] == [1.0]
    names = {each.record.request.partition(".")[2] for each in judged.rig.records()}
    assert names == {"", "1", "2"}


def test_a_judge_that_always_names_the_first_answer_says_nothing(judged):
    _, (other,) = judged.ask(text="mine")
    judged.reply(other, "theirs")
    judged.reply(judged.waiting()[0], "A")
    judged.reply(judged.waiting()[0], "A")
    assert [each.loss for each in judged.findings()] == [0.0]


def test_a_judge_that_says_neither_ends_the_audit(judged):
    _, (other,) = judged.ask()
    judged.reply(other, "theirs")
    judged.reply(judged.waiting()[0], "maybe")
    assert judged.findings() == []
    assert judged.rig.worker.counters["audits_failed"] == 1


@pytest.mark.parametrize("status", ["500 Broken", "429 Busy"])
def test_a_place_that_fails_ends_the_audit_and_is_not_asked_again(audited, status):
    _, (other,) = audited.declare().ask()
    other.protocol.data_received(audited.kit.answer(b"{}", status=status))
    audited.rig.loop.run()
    assert audited.findings() == []
    assert audited.waiting() == []
    assert audited.rig.worker.counters["audits_failed"] == 1
    assert audited.rig.leaks() == (0, 0, 0)


def test_no_more_than_a_few_audits_are_under_way(audited):
    audited.declare()
    for _ in range(AT_ONCE):
        audited.ask()
    assert audited.ask()[1] == []
    assert audited.rig.worker.counters["audits_dropped"] == 1


def test_no_more_than_declared_are_begun_in_a_minute(audited):
    audited.declare(replace(AUDITED, per_minute=2))
    for _ in range(4):
        _, others = audited.ask()
        for other in others:
            audited.reply(other, "yes")
    assert len(audited.findings()) == 2
    audited.rig.clock.advance(61.0)
    audited.rig.worker.tick()
    audited.reply(audited.ask()[1][0], "yes")
    assert len(audited.findings()) == 3


def test_an_audit_takes_no_slot_that_is_not_free(audited):
    audited.declare()
    far = next(each for each in audited.rig.worker.source.places() if each.endpoint.id == "e2")
    for _ in range(4):
        far.enter()
    assert audited.ask()[1] == []
    assert audited.rig.worker.counters["audits_dropped"] == 1


def test_an_audit_ends_where_a_caller_would_have_to_wait(audited):
    rig = audited.rig
    rig.endpoints(
        rig.endpoint(1, deployment=DeploymentName("near"), price_in=0.0, price_out=0.0, slots=1),
        rig.endpoint(2, deployment=DeploymentName("far"), slots=1),
    )
    audited.declare(standing=held([]))
    served, (other,) = audited.ask()
    assert (served, other.port) == (2, 1)
    audited.declare(standing=held(["p"], cheap=0.0, dear=0.0), deployments=("near",))
    for _ in range(2):  # one beyond its slots is held by an endpoint
        rig.ask()
    assert other.closed
    assert rig.worker.counters["audits_dropped"] == 1
    assert rig.worker.counters["queued"] == 0
    assert len(audited.waiting()) == 2


def test_a_gateway_that_is_to_end_ends_its_audits(audited):
    _, (other,) = audited.declare().ask()
    audited.rig.worker.audit.stop()
    assert other.closed
    assert audited.rig.worker.inners == set()
    assert audited.findings() == []


def test_what_the_gateway_asks_itself_is_not_audited(audited):
    _, (other,) = audited.declare().ask()
    audited.reply(other, "no")
    assert audited.waiting() == []


@pytest.mark.parametrize(
    "audits",
    [
        replace(AUDITED, off=("p",)),
        replace(AUDITED, judge=Judge(kind="vote")),
        replace(AUDITED, candidate="third"),
    ],
)
def test_what_is_off_or_voted_on_or_of_others_is_not_asked_twice(audited, audits):
    assert audited.declare(audits).ask()[1] == []


def test_an_answer_without_text_is_not_compared(audited):
    _, (other,) = audited.declare().ask(text=" ")
    audited.reply(other, "no")
    assert audited.findings() == []
    assert audited.rig.worker.counters["audits_failed"] == 1


def test_budgets_hold_for_audits_and_rates_do_not(kit, make):
    for limits, asked in (
        (Limits(requests_per_minute=1), 1),
        (Limits(budget=Budget(amount=1e-9, period="day")), 0),
    ):
        fresh = Audited(make(), kit)
        name = f"key:{fresh.rig.grant.id}"
        fresh.declare(limits={name: limits})
        bound_whole(fresh.rig.quota, {name: limits}, {name: 0})
        assert len(fresh.ask()[1]) == asked
