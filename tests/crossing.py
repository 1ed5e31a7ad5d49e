"""Two gateways, one of which knows the engine of the other; frames between them."""

from collections import deque
from dataclasses import replace

from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.session import Open
from littoral.domain.stream import Via
from littoral.domain.switch import Switch
from littoral.gateway.wire.guest import Guests

VIA = Via(node=NodeId("nd_b"), endpoint=EndpointId("e9"), path="relay")


class Pair:
    """Gateway ``a`` knows the engine of gateway ``b``; a switch joins their streams."""

    def __init__(self, a, b):
        self.a, self.b = a, b
        self.switch = Switch()
        self.switch.join("a", first=2)
        self.switch.join("b", first=2)
        self.waiting = deque()
        self.passed = []
        self.guests = Guests(b.worker, lambda frame: self.waiting.append(("b", frame)))
        a.worker.calls.send = lambda frame: self.waiting.append(("a", frame))
        a.endpoints(self.remote())
        b.snapshot(replace(b.grant, id=a.grant.id, project=a.grant.project), serves=("m",))
        b.endpoints(b.endpoint(9, deployment=DeploymentName("m"), slots=1))

    def remote(self, **fields):
        given = {"deployment": DeploymentName("m"), "engine_model": "m", "via": VIA}
        return self.a.endpoint(9, address=None, remote=True, **(given | fields))

    def run(self):
        """Let both run until nothing moves."""
        while self.waiting or self.a.loop.soon or self.b.loop.soon:
            self.a.loop.run()
            self.b.loop.run()
            while self.waiting:
                self.pass_on(*self.waiting.popleft())

    def pass_on(self, port, frame):
        self.passed.append((port, frame))
        to = "b" if port == "a" else "a"
        if isinstance(frame, Open):
            out = self.switch.open(port, frame, to=to)
        else:
            out = self.switch.take(port, frame)
        for end, each in out:
            if end == "b":
                self.guests.take(each)
            else:
                self.a.worker.calls.take(each)

    def ask(self, body=None, **fields):
        """A request at ``a``: client, its transport, the engine's transport at ``b``."""
        client, transport = self.a.client()
        raw = self.a.post(body, **fields) if body is not None else self.a.post(**fields)
        client.data_received(raw)
        self.run()
        return client, transport, self.b.loop.dialled[-1] if self.b.loop.dialled else None

    def of(self, kind, port=None):
        return [f for p, f in self.passed if isinstance(f, kind) and port in {None, p}]
