"""Deferred requests, as the node gives them to this gateway to run."""

import json

import pytest

from deferred import CHAT, deferral
from littoral.domain.ids import KeyId
from littoral.domain.session import Carried, Carry, Quit
from littoral.gateway.table import Source
from littoral.gateway.wire.carrier import MOST_ANSWER, Carriers
from littoral.gateway.wire.runs import AGAIN_S


class Bench:
    """A gateway's runs of deferrals, and what the node hears of them."""

    def __init__(self, rig, *, most=MOST_ANSWER):
        self.rig = rig
        self.heard: list[Carried] = []
        self.carriers = Carriers(rig.worker, self.heard.append, most=most)

    def run(self, body=CHAT, *, number=-1, **fields):
        given = {"key": self.rig.grant.id, "body": body, **fields}
        self.carriers.take(Carry(run=number, deferral=deferral(**given)))
        self.rig.loop.run()
        return self.rig.loop.dialled[-1] if self.rig.loop.dialled else None


@pytest.fixture
def bench(rig):
    return Bench(rig)


def test_a_run_answers_with_what_it_used_under_its_first_id_and_its_slot_books_nothing(
    bench, rig, kit
):
    bench.run().protocol.data_received(kit.answer(kit.said()))
    (carried,) = bench.heard
    assert (carried.run, carried.state, carried.media) == (-1, "completed", "application/json")
    assert json.loads(carried.answer)["usage"]["completion_tokens"] == 5
    assert (carried.usage.request, carried.usage.attempt) == ("req_old", 0)
    assert (carried.usage.status, carried.usage.tokens_out) == ("ok", 5)
    assert [each.guest for each in rig.records()] == [True]
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_is_kept_as_its_events(bench, kit):
    body = CHAT.replace(b'"messages"', b'"stream":true,"messages"')
    engine = bench.run(body)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    (carried,) = bench.heard
    assert carried.media == "text/event-stream; charset=utf-8"
    assert carried.answer.endswith(b"data: [DONE]\n\n")
    assert b'"content":"a"' in carried.answer


def test_a_stream_that_breaks_is_begun_again(bench, kit):
    engine = bench.run(CHAT.replace(b'"messages"', b'"stream":true,"messages"'))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    (carried,) = bench.heard
    assert (carried.state, carried.again_s, carried.counted) == ("queued", 2.0, True)
    assert (carried.usage, carried.answer) == (None, b"")


def test_an_engine_that_fails_counts_and_a_limit_does_not(bench, make):
    bench.run().protocol.connection_lost(None)
    (carried,) = bench.heard
    assert (carried.state, carried.counted) == ("queued", True)
    poor = make(1, rate=1)
    other = Bench(poor)
    other.run()
    other.run(number=-2)
    (carried,) = other.heard
    assert (carried.run, carried.state, carried.counted) == (-2, "queued", False)
    assert carried.again_s > 0


def test_what_never_can_be_answered_has_failed(bench, make):
    bench.run(b'{"model":"m"}')
    bench.run(path="/v1/gone")
    assert [each.state for each in bench.heard] == ["failed"] * 2
    assert "messages" in bench.heard[0].reason
    assert "served no more" in bench.heard[1].reason
    narrow = Bench(make(1, models=("other",)))
    narrow.run()
    assert [(each.state, each.again_s) for each in narrow.heard] == [("failed", None)]


def test_a_key_that_is_not_known_here_yet_is_waited_for(bench, rig):
    bench.run(key=KeyId("gone"))
    rig.worker.source = Source("here")
    bench.run(number=-2)
    told = [(each.state, each.again_s, each.counted) for each in bench.heard]
    assert told == [("queued", AGAIN_S, True), ("queued", AGAIN_S, False)]


def test_stopping_a_run_stops_the_engine_and_says_what_was_used(bench, rig, kit):
    engine = bench.run(CHAT.replace(b'"messages"', b'"stream":true,"messages"'))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    bench.carriers.take(Quit(run=-1))
    bench.carriers.take(Quit(run=-1))
    assert engine.closed
    (carried,) = bench.heard
    assert (carried.state, carried.usage.status) == ("cancelled", "cancelled")
    assert rig.leaks() == (0, 0, 0)


def test_an_answer_that_is_too_long_has_failed_and_is_booked(rig, kit):
    bench = Bench(rig, most=10)
    bench.run().protocol.data_received(kit.answer(kit.said()))
    (carried,) = bench.heard
    assert (carried.state, carried.usage.status, carried.answer) == ("failed", "ok", b"")
