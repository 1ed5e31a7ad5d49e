"""A call from node to node, and what tests of relays put at the ends of their channels."""

import anyio

from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId, RequestId
from littoral.domain.stream import CallHead

CALL = CallHead(
    to=NodeId("nd_b"),
    origin=NodeId("nd_a"),
    path="/v1/chat/completions",
    request=RequestId("req_1"),
    project=ProjectId("p"),
    key=KeyId("k"),
    deployment=DeploymentName("d"),
    model="m",
    size=1,
)


class Line:
    """The end of a channel: keeps what is sent on it."""

    def __init__(self):
        self.sent = []

    async def send(self, frame):
        self.sent.append(frame)


class Tunnel:
    """Keeps what it hears, and says what it is told to."""

    def __init__(self):
        self.came = []

    def heard(self, frame):
        self.came.append(frame)

    async def run(self, send):
        self.send = send
        await anyio.sleep_forever()
