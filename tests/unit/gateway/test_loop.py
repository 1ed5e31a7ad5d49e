"""The life of a gateway: what the end of a key ends."""

import json

from littoral.app.codec import pack, unpack
from littoral.gateway.wire.loop import Gateway


def test_a_moderation_by_an_engine_ends_with_its_key(rig):
    rig.endpoints(rig.endpoint(1, capabilities=("moderations",)))
    body = json.dumps({"model": "m", "input": "hello"}).encode()
    _, transport, engine = rig.ask(rig.post(body, path="/v1/moderations"))
    rig.loop.create_future = lambda: None
    gateway = Gateway(rig.worker, pack, unpack, drain_s=1.0)
    gateway.keys_changed()
    assert not transport.data
    rig.snapshot()
    gateway.keys_changed()
    assert transport.data.startswith(b"HTTP/1.1 503")
    assert engine.closed
    assert rig.leaks() == (0, 0, 0)
