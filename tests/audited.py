"""A gateway whose answers are audited, for tests."""

import json
from dataclasses import replace

from littoral.domain.audit import Standing
from littoral.domain.deployment import Assignment
from littoral.domain.ids import DeploymentName, NodeId
from littoral.domain.policy import Audits, Judge, Policy, PolicySpec, Quality
from littoral.domain.reach import HOME
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.gateway.wire.auditing import Auditor

AUDITED = Audits(reference="far", candidate="near")
JUDGED = replace(AUDITED, judge=Judge(kind="model", deployment="sage"))


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

    def declare(
        self, audits=AUDITED, *, traffic=(), standing=None, limits=None, spot=HOME, **fields
    ):
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
                neighbours={NodeId("nd"): spot},
                limits=limits or {},
            ),
            dict.fromkeys(limits or {}, 0),
        )
        return self

    def ask(self, raw=None, *, text="yes"):
        """A client asks, and the place that takes it says something; returns who was asked then."""
        before = self.waiting()
        _, transport, _ = self.rig.ask(raw)
        (engine,) = [each for each in self.waiting() if each not in before]
        served = engine.port
        engine.protocol.data_received(self.kit.answer(said(text)))
        assert self.kit.status_of(transport) == 200
        self.rig.loop.run()
        return served, [each for each in self.waiting() if each not in before]

    def waiting(self):
        """Engines that were asked something that they have not answered."""
        return [each for each in self.rig.loop.dialled if each.protocol.owner is not None]

    def reply(self, engine, text):
        engine.protocol.data_received(self.kit.answer(said(text)))
        self.rig.loop.run()

    def findings(self):
        return [each.finding for each in self.sent]
