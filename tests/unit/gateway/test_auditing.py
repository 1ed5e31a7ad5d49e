"""Some questions are put to the other deployment, too: what that asks, finds, and never does."""

import json

import pytest

from littoral.domain.audit import Standing
from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId
from littoral.domain.policy import Audits, Policy, PolicySpec, Quality
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.gateway.wire.auditing import Auditor

AUDITED = Audits(reference="far", candidate="near")


def said(text: str) -> bytes:
    reply = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    return json.dumps(reply).encode()


class Audited:
    """A gateway with a cheap place ``near`` (1) and a dear one ``far`` (2), all of it audited."""

    def __init__(self, rig, kit):
        self.rig, self.kit = rig, kit
        self.sent = []
        rig.endpoints(
            rig.endpoint(1, deployment=DeploymentName("near"), price_in=0.0, price_out=0.0),
            rig.endpoint(2, deployment=DeploymentName("far"), price_in=1.0, price_out=1.0),
        )
        rig.worker.audit = Auditor(rig.worker, self.sent.append)

    def declare(self, audits=AUDITED, *, traffic=(), standing=None, limits=None, **fields):
        spec = PolicySpec(quality=Quality(audits=audits), **fields)
        standing = standing or Standing(
            policy="p", candidate=DeploymentName("near"), decided=False, cheap=1.0, dear=1.0
        )
        self.rig.worker.source.take_snapshot(
            Snapshot(
                epoch=1,
                version=2,
                issued_us=Micros(1_000_000),
                node=NodeId("nd"),
                pepper=b"p" * 32,
                keys=(self.rig.grant,),
                assignments=(
                    Assignment(
                        name=DeploymentName("m"), revision=1, serves="m", engine="fake", model="m"
                    ),
                ),
                policies=(Policy(name="p", spec=spec),),
                standings=(standing,),
                traffic=traffic,
                limits=limits or {},
            ),
            dict.fromkeys(limits or {}, 0),
        )
        return self

    def ask(self, raw=None, *, text="yes"):
        """A client asks, and the place that takes it says something; returns who was asked then."""
        self.rig.loop.dialled.clear()
        _, transport, engine = self.rig.ask(raw)
        served = engine.port
        engine.protocol.data_received(self.kit.answer(said(text)))
        assert self.kit.status_of(transport) == 200
        self.rig.loop.run()
        return served, self.waiting()

    def waiting(self):
        """Engines that were asked something that they have not answered."""
        return [each for each in self.rig.loop.dialled if each.protocol.owner is not None]

    def reply(self, engine, text):
        engine.protocol.data_received(self.kit.answer(said(text)))
        self.rig.loop.run()

    def findings(self):
        return [each.finding for each in self.sent]


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
