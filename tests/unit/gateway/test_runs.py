"""Responses in the background, as the node gives them to this gateway."""

import json
from dataclasses import replace

import pytest

from littoral.domain.errors import TooLarge
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.response import StoredResponse
from littoral.domain.session import Quit, Ran, Run, Told
from littoral.domain.units import Micros
from littoral.gateway.table import Source
from littoral.gateway.wire.runs import AGAIN_S, Runs

ASKED = {"model": "m", "input": [{"role": "user", "content": "hi"}], "background": True}


class Bench:
    """A gateway's runs, and what the node hears of them."""

    def __init__(self, rig):
        self.rig = rig
        self.heard = []
        self.runs = Runs(rig.worker, self.heard.append)

    def run(self, number=1, *, key=None, asked=None, streamed=False):
        body = json.dumps({**ASKED, **(asked or {}), "stream": streamed}).encode()
        response = StoredResponse(
            id="resp_old",
            project=ProjectId("p"),
            key=key or self.rig.grant.id,
            created_us=Micros(5_000_000),
            expires_us=Micros(9),
            status="in_progress",
            background=True,
            streamed=streamed,
            asked=body,
        )
        self.runs.take(Run(run=number, response=response))
        self.rig.loop.run()
        return self.rig.loop.dialled[-1] if self.rig.loop.dialled else None


@pytest.fixture
def bench(rig):
    return Bench(rig)


def spoken():
    message = {"role": "assistant", "content": "yes"}
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    body = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    return json.dumps(body).encode()


def test_a_run_is_booked_as_a_request_and_answers_under_its_old_name(bench, rig, kit):
    bench.run().protocol.data_received(kit.answer(spoken()))
    (ran,) = bench.heard
    assert (ran.run, ran.status, ran.again_s) == (1, "completed", None)
    said = json.loads(ran.body)
    assert (said["id"], said["created_at"]) == ("resp_old", 5)
    assert said["completed_at"] == rig.worker.wall_us // 1_000_000
    assert said["output"][0]["id"].startswith("msg_old")
    assert [(f.record.status, f.record.tokens_out) for f in rig.records()] == [("ok", 5)]
    assert rig.leaks() == (0, 0, 0)


def test_a_streamed_run_tells_its_events_as_they_come(bench, kit):
    engine = bench.run(streamed=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    (told,) = bench.heard
    assert isinstance(told, Told)
    assert b"response.created" in told.events
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    _, last, ran = bench.heard
    assert b"response.completed" in last.events
    assert (ran.status, json.loads(ran.body)["id"]) == ("completed", "resp_old")


def test_a_streamed_run_that_breaks_has_failed_with_the_engines_reason(bench, kit):
    engine = bench.run(streamed=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    ran = bench.heard[-1]
    assert ran.status == "failed"
    assert json.loads(ran.body)["error"]["code"] == "server_error"


def test_stopping_a_run_stops_the_engine_and_books_what_was_used(bench, rig, kit):
    engine = bench.run(streamed=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    count = len(bench.heard)
    bench.runs.take(Quit(run=1))
    bench.runs.take(Quit(run=1))
    assert engine.closed
    assert len(bench.heard) == count
    assert [f.record.status for f in rig.records()] == ["cancelled"]


def test_what_may_be_served_later_is_handed_back(make, kit):
    rig = make(1, rate=1)
    bench = Bench(rig)
    bench.run().protocol.data_received(kit.answer(spoken()))
    bench.run(2)
    ran = bench.heard[-1]
    assert (ran.run, ran.status) == (2, "failed")
    assert ran.again_s > 0
    assert "minute" in ran.reason


def test_a_run_whose_engine_failed_is_handed_back_and_counts(bench):
    bench.run().protocol.connection_lost(None)
    bench.run(2).protocol.data_received(b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n")
    assert [(each.run, each.again_s, each.counted) for each in bench.heard] == [
        (1, AGAIN_S, True),
        (2, AGAIN_S, True),
    ]
    assert "it closed the connection" in bench.heard[0].reason


def test_what_never_can_be_served_has_failed(bench):
    bench.run(asked={"model": "absent"})
    bench.run(2, asked={"tools": [{"type": "mcp"}]})
    assert [(each.status, each.again_s) for each in bench.heard] == [("failed", None)] * 2


def test_a_key_that_is_not_known_here_yet_is_waited_for(bench, rig):
    """A new gateway may be given a run before it is told whom it serves."""
    bench.run(key=KeyId("unknown"))
    rig.worker.source = Source("here")
    bench.run(2)
    told = [(each.again_s, each.counted) for each in bench.heard]
    assert told == [(AGAIN_S, True), (AGAIN_S, False)]


def test_the_key_of_a_run_must_still_be_good(bench, rig):
    rig.snapshot(replace(rig.grant, revoked=True))
    bench.run()
    rig.snapshot(replace(rig.grant, expires_us=Micros(1)))
    bench.run(2)
    assert all("revoked" in each.reason for each in bench.heard)


def test_a_fault_of_ours_fails_one_run(bench, rig):
    bench.runs.take(Run(run=1, response=None))
    assert bench.heard == [Ran(run=1, status="failed", reason="something failed here")]
    assert rig.loop.errors


def test_an_answer_that_fits_no_frame_has_failed(bench, kit):
    def send(frame):
        if frame.body:
            raise TooLarge("a frame of 20000000 bytes")
        bench.heard.append(frame)

    bench.runs = Runs(bench.rig.worker, send)
    bench.run().protocol.data_received(kit.answer(spoken()))
    assert [(each.status, each.reason) for each in bench.heard] == [
        ("failed", "a frame of 20000000 bytes")
    ]


def test_an_empty_answer_has_failed(bench):
    bench.run(streamed=True)
    bench.rig.worker.inners.copy().pop().finished(close=False)
    assert bench.heard[-1].reason == "it ended without an answer"
