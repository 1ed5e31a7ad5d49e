"""A gateway's rig with a near and a far place, under a policy with a cascade."""

import json
import math

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Folded
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.policy import Cascade, Policy, PolicySpec
from littoral.domain.reach import Spot
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds

NODE = NodeId("nd")
NEAR, FAR = DeploymentName("near"), DeploymentName("far")
ABLE = ("chat", "completions", "stream", "tools", "logprobs")
HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def said(probability=None, text="yes"):
    message = {"role": "assistant", "content": text}
    tokens = [{"token": "yes", "logprob": math.log(probability or 1), "bytes": None}]
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    if probability is not None:
        choice["logprobs"] = {"content": tokens}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    return json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode()


class Two:
    """A rig of a cheap near place and a dear far one, under a policy with a cascade."""

    standings = ()

    def __init__(self, rig, kit, *, spec=None, places=(), **rule):
        self.rig, self.kit = rig, kit
        rig.endpoints(
            *places
            or (
                rig.endpoint(1, deployment=NEAR, price_in=0.0, price_out=0.0, capabilities=ABLE),
                rig.endpoint(2, deployment=FAR, capabilities=ABLE),
            )
        )
        self.declare(spec, **rule or {"below": 0.6})

    def declare(self, spec=None, **rule):
        rig = self.rig
        assignment = Assignment(name=NEAR, revision=1, serves="m", engine="fake", model="m")
        policy = PolicySpec(cascade=Cascade(first=NEAR, then=FAR, **rule), **spec or {})
        rig.worker.source.take_snapshot(
            Snapshot(
                epoch=1, version=2, issued_us=Micros(1), node=NODE, pepper=b"p" * 32,
                keys=(rig.grant,), assignments=(assignment,), limits=rig.limits,
                policies=(Policy(name="c", spec=policy),), standings=self.standings,
                neighbours={NODE: Spot(site="s", tier="edge")},
            ),
            {name: row for row, name in enumerate(rig.limits)},
        )  # fmt: skip

    def speed(self, **seconds):
        """Places take so long for any request, with little doubt."""
        folds = [
            Folded(
                endpoint=EndpointId(name), version=1, t0=Seconds(taken), t_in=Seconds(1e-9),
                t_step=Seconds(1e-9), t_crowd=Seconds(1e-9), width=0.1, state="ok",
            )
            for name, taken in seconds.items()
        ]  # fmt: skip
        self.rig.worker.source.take_folds(folds)

    def ask(self, **fields):
        body = json.dumps(HI | fields).encode()
        self.client, self.transport, engine = self.rig.ask(self.rig.post(body))
        return engine

    def answers(self, engine, body=None, **how):
        engine.protocol.data_received(self.kit.answer(said() if body is None else body, **how))
        self.rig.loop.run()

    def open(self):
        """The ports of engines that are being asked."""
        return [each.port for each in self.rig.loop.dialled if not each.closed]

    @property
    def head(self):
        lines = self.transport.data.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        return dict(line.split(": ", 1) for line in lines[1:])

    @property
    def body(self):
        return json.loads(self.transport.data.partition(b"\r\n\r\n")[2])

    def records(self):
        found = [each.record for each in self.rig.records()]
        return sorted(
            (each.attempt, each.deployment, each.status, each.tokens_out) for each in found
        )


def asked(engine):
    return json.loads(engine.data.partition(b"\r\n\r\n")[2])
