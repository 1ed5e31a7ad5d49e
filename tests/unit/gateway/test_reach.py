"""What a gateway says and serves while its node cannot reach control."""

import json

import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.session import Reach
from littoral.gateway.wire.loop import Gateway

HEADER = b"x-littoral-offline: true\r\n"
OFFLINE = Reach(offline=True)


@pytest.fixture
def raws(rig):
    """Requests of every dialect, and some that fail."""
    messages = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    return [
        rig.post(),
        rig.post(path="/v1/nowhere"),
        rig.post(key="lit-sk-wrong"),
        rig.post(b"{"),
        rig.post(json.dumps(messages).encode(), path="/v1/messages"),
        rig.post(json.dumps({**messages, "stream": False}).encode(), path="/api/chat"),
        rig.post(b"", path="/v1/models").replace(b"POST", b"GET", 1),
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ]


def test_every_response_says_so_while_control_is_away(rig, kit, raws) -> None:
    rig.worker.take_reach(OFFLINE)
    for raw in raws:
        rig.loop.dialled.clear()
        _, transport, engine = rig.ask(raw)
        if engine is not None:
            engine.protocol.data_received(kit.answer())
            engine.protocol.connection_lost(None)
        assert transport.data.count(HEADER) == 1, (raw, transport.data)


def test_a_stream_says_so_too(rig, kit) -> None:
    rig.worker.take_reach(OFFLINE)
    body = kit.body.replace(b"{", b'{"stream":true,', 1)
    _, transport, engine = rig.ask(rig.post(body))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("yes")))
    assert HEADER in transport.data


def test_nothing_says_so_while_control_is_there(rig, raws) -> None:
    rig.worker.take_reach(OFFLINE)
    rig.worker.take_reach(Reach())
    for raw in raws:
        assert HEADER not in rig.ask(raw)[1].data


def test_after_the_end_of_the_snapshots_life_a_key_does_not_hold(rig, kit) -> None:
    _, running, engine = rig.ask()
    gateway = gateway_of(rig)
    rig.worker.take_reach(Reach(offline=True, ended=True))
    gateway.keys_changed()
    assert kit.status_of(running) == 503
    assert engine.closed
    _, transport, _ = rig.ask()
    assert kit.status_of(transport) == 401
    assert kit.body_of(transport)["error"]["code"] == "policy_expired"
    rig.worker.take_reach(Reach())
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200
    assert gateway is not None


def test_an_open_connection_hears_of_it_too(rig, kit) -> None:
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200
    rig.worker.take_reach(Reach(ended=True))
    transport.data = b""
    client.data_received(rig.post())
    assert kit.status_of(transport) == 401


def test_a_key_that_survives_goes_on_with_this_nodes_engines_only(make, kit) -> None:
    rig = make(1, survives=True)
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, serves="far", remote=True))
    rig.snapshot(rig.grant, serves=("m", "far"))
    _, running, engine = rig.ask()
    rig.worker.take_reach(Reach(ended=True))
    gateway_of(rig).keys_changed()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(running) == 200
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200
    far = kit.body.replace(b'"m"', b'"far"')
    _, transport, _ = rig.ask(rig.post(far))
    assert kit.status_of(transport) == 503


def test_a_gateway_goes_by_the_nodes_clock(make, kit) -> None:
    rig = make(1, expires_us=2_000_000_000_000_000)
    rig.worker.take_reach(Reach(skew_us=400_000_000_000_000))
    _, transport, _ = rig.ask()
    assert kit.body_of(transport)["error"]["code"] == "invalid_api_key"


def gateway_of(rig) -> Gateway:
    rig.loop.create_future = lambda: None
    return Gateway(rig.worker, pack, unpack, drain_s=1.0)
