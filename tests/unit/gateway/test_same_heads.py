"""Heads that come again on one connection: what is remembered of them, and what never is."""

import gc
from dataclasses import replace
from types import FunctionType, ModuleType

from littoral.domain.units import Micros
from littoral.trust.key import mac_of, mint


def test_the_second_request_of_a_connection_may_differ_in_length_only(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    for content in ("longer than before", "x", "again"):
        body = kit.body.replace(b"hi", content.encode())
        engine.data = b""
        client.data_received(rig.post(body))
        assert content.encode() in engine.data
        engine.protocol.data_received(kit.answer())
    assert transport.data.count(b"HTTP/1.1 200") == 4
    assert rig.leaks() == (0, 0, 0)


def test_a_remembered_head_does_not_let_another_key_in(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    client.data_received(rig.post())
    engine.protocol.data_received(kit.answer())
    client.data_received(rig.post(key="lit-sk-aaaaaaaaaa-" + rig.key[18:]))
    assert b"HTTP/1.1 401" in transport.data


def test_a_refused_head_that_comes_again_is_refused_again(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    for _ in range(3):
        client.data_received(rig.post(key="lit-sk-aaaaaaaaaa-" + rig.key[18:]))
    assert transport.data.count(b"HTTP/1.1 401") == 3
    client.data_received(rig.post())
    engine.protocol.data_received(kit.answer())
    assert transport.data.count(b"HTTP/1.1 200") == 2


def test_a_key_in_x_api_key_does_not_stay_for_a_request_without_one(rig, kit):
    client, transport = rig.client()
    line = f"Authorization: Bearer {rig.key}\r\n".encode()
    raw = rig.post(extra=f"x-api-key: {rig.key}\r\n").replace(line, b"")
    for _ in range(2):
        client.data_received(raw)
        rig.loop.run()
        rig.loop.dialled[-1].protocol.data_received(kit.answer())
    assert transport.data.count(b"HTTP/1.1 200") == 2
    client.data_received(rig.post().replace(line, b""))
    assert b"HTTP/1.1 401" in transport.data


def test_keys_that_alternate_on_one_connection_are_kept_apart(rig, kit):
    other = mint(b"o" * 48)
    mac = mac_of(other.digest, pepper=kit.pepper)
    grant = replace(rig.grant, id=other.id, mac=mac, project="q")
    rig.snapshot(rig.grant, grant)
    client, _ = rig.client()
    expected = []
    for number in range(12):
        mine = number % 3 == 0
        client.data_received(rig.post(key=rig.key if mine else other.text))
        rig.loop.run()
        rig.loop.dialled[-1].protocol.data_received(kit.answer())
        expected.append("p" if mine else "q")
    assert sorted(r.record.project for r in rig.records()) == sorted(expected)


def test_a_remembered_head_ends_with_its_key(make, kit):
    rig = make(1, expires_us=Micros(2_000_000))
    rig.clock.set_wall(1_000_000)
    rig.worker.tick()
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    client.data_received(rig.post())
    engine.protocol.data_received(kit.answer())
    rig.clock.set_wall(2_000_000)
    rig.worker.tick()
    client.data_received(rig.post())
    assert transport.data.count(b"HTTP/1.1 200") == 2
    assert b"expired" in transport.data
    assert rig.leaks() == (0, 0, 0)


def test_a_remembered_head_ends_with_its_tables(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    rig.snapshot(replace(rig.grant, revoked=True))
    client.data_received(rig.post())
    assert transport.data.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 401" in transport.data


def test_a_remembered_head_keeps_its_deadline_and_its_path(rig, kit):
    client, transport = rig.client()
    raw = rig.post(
        b'{"model":"m","prompt":"hi"}',
        path="/v1/completions",
        extra="x-littoral-deadline-ms: 1000\r\n",
    )
    for _ in range(2):
        client.data_received(raw)
        rig.loop.run()
        rig.loop.dialled[-1].protocol.data_received(kit.answer())
        assert client.due <= rig.worker.now + 75
    client.data_received(raw)
    assert client.due == rig.clock.now() + 1
    assert transport.data.count(b"HTTP/1.1 200") == 2


def test_no_key_is_kept_once_its_request_is_under_way(rig, kit):
    client, _, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    client.data_received(rig.post())
    secret, seen, todo = rig.key.encode(), set(), [client]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | FunctionType):
            continue
        seen.add(id(thing))
        assert not (isinstance(thing, bytes) and secret in thing)
        todo += gc.get_referents(thing)
