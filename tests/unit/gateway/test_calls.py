"""Requests between two gateways: one admits, the other has the engine; frames in between."""

import json

import pytest

from crossing import Pair
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.session import Credit, Data, Open, Reset
from littoral.domain.stream import CHUNK, WINDOW, ReplyHead
from littoral.domain.units import Tokens


@pytest.fixture
def pair(make):
    return Pair(make(1), make(9))


STREAMED = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def test_a_streamed_chat_is_answered_by_the_other_nodes_engine(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    asked = engine.data.partition(b"\r\n\r\n")[2]
    assert json.loads(asked)["model"] == "inner"
    assert pair.a.key.encode() not in engine.data
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    head, payload, ended = kit.unchunked(transport.data)
    assert b"x-littoral-route: nd_b/e9; via=relay; " in head
    assert (payload, ended) == (kit.event("he"), False)
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert (payload, ended) == (kit.event("he") + kit.done, True)
    (booked,) = pair.a.records()
    assert (booked.record.status, booked.record.tokens_in, booked.record.tokens_out) == ("ok", 7, 3)
    assert not booked.guest
    (guest,) = pair.b.records()
    assert guest.guest
    assert guest.record.request == booked.record.request
    assert pair.a.leaks() == pair.b.leaks() == (0, 0, 0)


def test_a_whole_answer_comes_back_with_what_it_cost(pair, kit):
    _, transport, engine = pair.ask()
    engine.protocol.data_received(kit.answer(kit.said("yes")))
    pair.run()
    assert kit.status_of(transport) == 200
    assert kit.body_of(transport)["choices"][0]["message"]["content"] == "yes"
    (booked,) = pair.a.records()
    assert (booked.record.endpoint, booked.record.tokens_out) == ("e9", 5)


def test_the_other_node_says_at_the_end_what_it_counted(pair, kit):
    _, _, engine = pair.ask()
    engine.protocol.data_received(kit.answer(kit.said("yes")))
    pair.run()
    last = pair.of(Data, "b")[-1]
    assert (last.fin, last.head) == (True, ReplyHead(status=200, tokens_in=7, tokens_out=5))


def test_counts_beside_a_stream_are_used_where_it_has_none(pair, kit):
    _, _, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    stream = pair.of(Open, "a")[0].stream
    tail = ReplyHead(status=200, tokens_in=70, tokens_out=40)
    pair.a.worker.calls.take(Data(stream=stream, body=kit.done, fin=True, head=tail))
    (booked,) = pair.a.records()
    assert (booked.record.tokens_in, booked.record.tokens_out) == (70, 40)
    assert not booked.record.estimated


def test_a_client_that_leaves_frees_the_slot_of_the_other_nodes_engine(pair, kit):
    client, _, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    client.connection_lost(None)
    pair.run()
    assert [frame.code for frame in pair.of(Reset, "a")] == ["cancelled"]
    assert engine.closed
    assert [each.record.status for each in pair.a.records()] == ["cancelled"]
    assert [each.record.tokens_out for each in pair.a.records()] == [1]
    assert pair.a.leaks() == pair.b.leaks() == (0, 0, 0)


def test_a_client_that_leaves_while_the_call_waits_for_a_slot_frees_its_place(pair):
    pair.ask(STREAMED)
    pair.ask(STREAMED)
    client, _, _ = pair.ask(STREAMED)
    assert pair.b.worker.counters["queued"] == 1
    client.connection_lost(None)
    pair.run()
    model = pair.b.worker.source.tables.models["m"]
    assert model.queue.count == 0


def test_what_is_left_of_the_deadline_goes_along_and_ends_the_call_there(pair, kit):
    _, transport, engine = pair.ask(STREAMED, extra="X-Littoral-Deadline-Ms: 2000\r\n")
    assert pair.of(Open, "a")[0].head.deadline_ms == 2000
    pair.b.clock.advance(2.5)
    for _ in range(20):
        pair.b.worker.tick()
    pair.run()
    assert engine.closed
    assert [frame.code for frame in pair.of(Reset, "b")] == ["deadline"]
    assert kit.status_of(transport) == 502


def test_a_long_body_goes_only_as_far_as_the_other_node_allows(pair):
    text = "x" * (3 * WINDOW)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    pair.b.endpoints(pair.b.endpoint(9, deployment=DeploymentName("m"), context=Tokens(10**6)))
    pair.a.endpoints(pair.remote(context=Tokens(10**6)))
    _, _, engine = pair.ask(body)
    assert text.encode() in engine.data
    ahead, allowed = 0, WINDOW
    for port, frame in pair.passed:
        if port == "a" and isinstance(frame, Data):
            ahead += len(frame.body)
            assert ahead <= allowed
            assert len(frame.body) <= CHUNK
        elif port == "b" and isinstance(frame, Credit):
            allowed = frame.upto
    assert len(pair.of(Credit, "b")) > 2


def test_a_slow_client_holds_back_the_engine_of_the_other_node(pair, kit):
    client, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    client.pause_writing()
    long = kit.event("y" * 1000)
    for _ in range(600):
        engine.protocol.data_received(kit.chunk(long))
        pair.run()
    assert engine.paused
    sent = sum(len(frame.body) for frame in pair.of(Data, "b"))
    assert sent <= WINDOW
    client.resume_writing()
    pair.run()
    assert not engine.paused
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert ended
    assert payload == kit.event("he") + 600 * long + kit.done


def test_a_node_without_room_counts_as_busy_and_the_request_goes_elsewhere(pair, kit):
    pair.a.endpoints(pair.remote(id=EndpointId("far")), pair.a.endpoint(1, price_in=9.0))
    _, transport, _ = pair.ask(STREAMED)
    stream = pair.of(Open, "a")[0].stream
    refused = Reset(stream=stream, code="refused", retryable=True, message="no room")
    pair.a.worker.calls.take(refused)
    pair.run()
    own = pair.a.loop.dialled[-1]
    own.protocol.data_received(kit.stream_head + kit.chunk(kit.event("ok") + kit.done))
    assert kit.status_of(transport) == 200
    assert not pair.a.worker.source.tables.models["m"].places[1].ejected


def test_a_refusal_says_why_where_no_other_place_is_left(pair, kit):
    _, transport, _ = pair.ask(STREAMED)
    stream = pair.of(Open, "a")[0].stream
    pair.a.worker.calls.take(
        Reset(stream=stream, code="refused", retryable=True, message="no room")
    )
    assert kit.status_of(transport) == 502
    assert "no room" in kit.body_of(transport)["error"]["message"]


def test_a_way_that_is_lost_in_the_middle_ends_the_stream_with_an_error_and_books_it(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    for port, frame in pair.switch.leave("b"):
        assert port == "a"
        pair.a.worker.calls.take(frame)
    _, payload, ended = kit.unchunked(transport.data)
    assert b'"error"' in payload
    assert not ended
    assert transport.closed
    (booked,) = pair.a.records()
    assert (booked.record.status, booked.record.tokens_out) == ("failed", 1)
    assert pair.a.leaks() == (0, 0, 0)


def test_a_way_that_is_lost_before_the_first_byte_lets_another_place_answer(pair, kit):
    pair.a.endpoints(pair.remote(id=EndpointId("far")), pair.a.endpoint(1, price_in=9.0))
    _, transport, _ = pair.ask(STREAMED)
    for _, frame in pair.switch.leave("b"):
        pair.a.worker.calls.take(frame)
    pair.run()
    own = pair.a.loop.dialled[-1]
    own.protocol.data_received(kit.stream_head + kit.chunk(kit.event("ok") + kit.done))
    assert kit.status_of(transport) == 200


def test_a_long_request_is_not_sent_again_after_another_node_failed(pair, kit):
    wide = {"context": Tokens(10**7)}
    pair.a.endpoints(
        pair.remote(id=EndpointId("far"), **wide), pair.a.endpoint(1, price_in=9, **wide)
    )
    pair.b.endpoints(pair.b.endpoint(9, deployment=DeploymentName("m"), **wide))
    text = "x" * (1024 * 1024)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
    _, transport, _ = pair.ask(body)
    for _, frame in pair.switch.leave("b"):
        pair.a.worker.calls.take(frame)
    pair.run()
    assert kit.status_of(transport) == 502
    assert pair.a.loop.dialled == []


def test_an_engine_that_breaks_there_ends_the_stream_here_with_its_error(pair, kit):
    _, transport, engine = pair.ask(STREAMED)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("he")))
    pair.run()
    engine.protocol.connection_lost(None)
    pair.run()
    _, payload, ended = kit.unchunked(transport.data)
    assert payload.count(b'"error"') == 1
    assert not ended
    assert [each.record.status for each in pair.a.records()] == ["failed"]


def test_an_engine_that_refuses_the_request_there_is_a_400_here(pair, kit):
    _, transport, engine = pair.ask()
    reply = b'{"error":{"message":"too hot"}}'
    engine.protocol.data_received(kit.answer(reply, status="400 Bad Request"))
    pair.run()
    assert kit.status_of(transport) == 400
    assert "too hot" in kit.body_of(transport)["error"]["message"]


def test_a_call_that_is_not_for_that_node_is_no_fault_of_its_engine(pair, kit):
    for _ in range(8):
        _, transport, _ = pair.ask(STREAMED)
        stream = pair.of(Open, "a")[-1].stream
        pair.a.worker.calls.take(Reset(stream=stream, code="refused", message="key unknown"))
        assert kit.status_of(transport) == 502
        assert "key unknown" in kit.body_of(transport)["error"]["message"]
    (place,) = pair.a.worker.source.places()
    assert not place.ejected
    assert not place.throttle.refuses(pair.a.clock.now())


def cut_off(pair, code):
    """Five requests, one at the own engine and some under way to the other, whose calls end."""
    pair.a.endpoints(pair.remote(slots=8), pair.a.endpoint(1, deployment=DeploymentName("m")))
    asked = [pair.ask(STREAMED)[1] for _ in range(5)]
    pair.a.worker.source.tables.models["m"].retries.left = 0.0
    streams = [frame.stream for frame in pair.of(Open, "a")]
    assert len(streams) > 1
    for stream in streams:
        pair.a.worker.calls.take(Reset(stream=stream, code=code))
        pair.run()
    return asked


def test_all_that_a_cut_link_took_is_answered_elsewhere_whatever_the_budget_of_retries(pair, kit):
    asked = cut_off(pair, "session_lost")
    for engine in pair.a.loop.dialled:
        engine.protocol.data_received(kit.stream_head + kit.chunk(kit.usage + kit.done))
        pair.run()
    assert [kit.status_of(each) for each in asked] == [200] * 5


def test_engines_that_failed_are_not_tried_elsewhere_beyond_the_budget(pair, kit):
    asked = cut_off(pair, "internal")
    assert [kit.status_of(each) for each in asked if each.data].count(502) > 1
