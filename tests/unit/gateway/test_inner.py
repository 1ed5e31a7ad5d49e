"""Requests that no connection asks: payload instead of frames, the same books."""

import dataclasses
import math

import pytest

from littoral.domain.units import Micros
from littoral.gateway.refusal import Refusal
from littoral.gateway.request import read_chat
from littoral.gateway.route import CHAT
from littoral.gateway.wire.inner import Inner

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
STREAMED = BODY[:-1] + b',"stream":true}'
STOP = Refusal(503, "unavailable", "stopping")


class Ear:
    """Keeps what it hears."""

    def __init__(self):
        self.payload = b""
        self.refusals = []
        self.ends = []

    def piece(self, payload):
        assert not self.ends, "a piece after the end"
        self.payload += payload

    def refused(self, refusal):
        self.refusals.append(refusal)

    def ended(self, *, good):
        self.ends.append(good)


def begin(rig, body=BODY, *, total_s=math.inf):
    ear = Ear()
    key = rig.worker.source.tables.keys[rig.grant.id]
    inner = Inner(rig.worker, ear, rig.worker.request_id(), key=key)
    inner.ask(CHAT, read_chat(body), size=len(body), total_s=total_s)
    rig.loop.run()
    return inner, ear, rig.loop.dialled[-1].protocol if rig.loop.dialled else None


def test_a_whole_answer_is_heard_without_its_head(rig, kit):
    _, ear, engine = begin(rig)
    engine.data_received(kit.answer())
    assert (ear.payload, ear.ends, ear.refusals) == (kit.reply, [True], [])
    assert [f.record.tokens_out for f in rig.records()] == [5]
    assert rig.leaks() == (0, 0, 0)
    assert not rig.worker.inners


def test_a_stream_is_heard_as_bare_events(rig, kit):
    _, ear, engine = begin(rig, STREAMED)
    engine.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    assert ear.payload == kit.event("a")
    engine.data_received(kit.chunk(kit.event("b") + kit.usage + kit.done) + b"0\r\n\r\n")
    assert ear.payload == kit.event("a") + kit.event("b") + kit.done
    assert ear.ends == [True]
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_that_breaks_ends_badly_with_an_error_event(rig, kit):
    _, ear, engine = begin(rig, STREAMED)
    engine.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.connection_lost(None)
    assert ear.ends == [False]
    assert b'data: {"error"' in ear.payload
    assert [f.record.status for f in rig.records()] == ["failed"]
    assert not rig.worker.inners


def test_a_refusal_is_heard_once_and_charges_nothing(make, kit):
    rig = make(1, rate=1)
    begin(rig)[2].data_received(kit.answer())
    rig.book()
    _, ear, _ = begin(rig)
    assert [r.status for r in ear.refusals] == [429]
    assert rig.worker.counters["rate_limited"] == 1
    assert rig.records() == []
    assert not rig.worker.inners


def test_cancelling_stops_the_engine_at_once_and_books_what_was_used(rig, kit):
    inner, ear, engine = begin(rig, STREAMED)
    engine.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    inner.cancel()
    assert rig.loop.dialled[-1].closed
    assert [(f.record.status, f.record.tokens_out) for f in rig.records()] == [("cancelled", 1)]
    inner.cancel()
    assert (ear.ends, ear.refusals) == ([], [])
    assert rig.leaks() == (0, 0, 0)


def test_being_cut_before_the_first_byte_is_a_refusal(rig):
    inner, ear, _ = begin(rig)
    inner.cut(STOP)
    assert ear.refusals == [STOP]
    assert rig.leaks() == (0, 0, 0)


def test_its_deadline_is_kept_by_the_wheel(rig):
    _, ear, _ = begin(rig, total_s=5.0)
    rig.clock.advance(6.0)
    for _ in range(10):
        rig.worker.tick()
    assert [r.code for r in ear.refusals] == ["deadline"]
    assert len(rig.worker.wheel) == 0


def test_a_fault_of_ours_is_heard_as_internal_and_logged(rig):
    ear = Ear()
    key = rig.worker.source.tables.keys[rig.grant.id]
    inner = Inner(rig.worker, ear, b"req_1", key=key)
    inner.ask(CHAT, object(), size=1, total_s=math.inf)
    assert [r.code for r in ear.refusals] == ["internal"]
    assert rig.loop.errors


@pytest.mark.parametrize("change", [{"expires_us": Micros(1)}, {"revoked": True}])
def test_what_a_key_may_no_longer_ask_is_refused_though_it_was_known_before(rig, change):
    key = rig.worker.source.tables.keys[rig.grant.id]
    rig.snapshot(dataclasses.replace(rig.grant, **change))
    ear = Ear()
    inner = Inner(rig.worker, ear, rig.worker.request_id(), key=key)
    inner.ask(CHAT, read_chat(BODY), size=len(BODY), total_s=math.inf)
    assert [each.status for each in ear.refusals] == [401]
    assert not rig.worker.inners
    assert rig.leaks() == (0, 0, 0)
