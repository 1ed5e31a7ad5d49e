"""One inference request from admission to settlement, on fake transports."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from littoral.testing.failpoints import ArmedFailpoints

STREAMED = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
WITH_USAGE = STREAMED[:-1] + b',"stream_options":{"include_usage":true}}'


def body_of(raw):
    return json.loads(raw.partition(b"\r\n\r\n")[2])


def test_a_reply_goes_through_whole_with_its_story(rig, kit):
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    head, _, body = transport.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"x-littoral-route: here/e1; only" in head
    assert b"x-littoral-cost: 0.000017000" in head
    assert b"x-request-id: req_" in head
    assert body == kit.reply
    (record,) = rig.records()
    assert record.settled
    assert (record.record.tokens_in, record.record.tokens_out) == (7, 5)
    assert (record.record.status, record.record.estimated) == ("ok", False)
    assert rig.leaks() == (0, 0, 0)


def test_an_exchange_has_fewer_fields_than_cpython_stores_without_a_dictionary(rig, kit):
    client, _, engine = rig.ask()
    exchange = client.answering
    engine.protocol.data_received(kit.answer())
    assert len(vars(exchange)) < 30  # from thirty on, making one costs three times as much


def test_the_engine_gets_its_own_model_name_a_cap_and_our_headers_only(rig):
    _, _, engine = rig.ask(rig.post(extra="X-Secret: 1\r\n"))
    head, _, body = engine.data.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:1\r\n")
    assert b"secret" not in head.lower()
    assert b"lit-sk" not in head
    assert json.loads(body)["model"] == "inner"
    assert json.loads(body)["max_tokens"] > 0


def test_a_slot_is_open_with_an_estimate_while_the_engine_works(rig):
    rig.ask()
    (record,) = rig.records()
    assert not record.settled
    assert record.record.status == "interrupted"
    assert record.record.model == "m"
    assert record.record.tokens_in == 14


def test_a_stream_is_framed_anew_and_its_tokens_counted_before_they_leave(rig, kit):
    _, transport, engine = rig.ask(rig.post(WITH_USAGE))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a") + kit.event("b")))
    assert rig.records()[0].record.tokens_out == 2
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    head, payload, ended = kit.unchunked(transport.data)
    assert b"text/event-stream" in head
    assert payload == kit.event("a") + kit.event("b") + kit.usage + kit.done
    assert ended
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out, record.streamed) == (7, 3, True)
    assert rig.leaks() == (0, 0, 0)


def test_usage_that_was_not_asked_for_is_held_back_but_booked(rig, kit):
    _, transport, engine = rig.ask(rig.post(STREAMED))
    sent = kit.event("a") + kit.usage + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(sent) + b"0\r\n\r\n")
    _, payload, ended = kit.unchunked(transport.data)
    assert payload == kit.event("a") + kit.done
    assert ended
    assert rig.records()[0].record.tokens_in == 7


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 420), max_size=12))
def test_any_split_of_a_reply_gives_the_same_payload_and_record(make, kit, cuts):
    rig = make(1)
    _, transport, engine = rig.ask(rig.post(STREAMED))
    events = kit.event("a") + kit.event("b") + kit.usage + kit.done
    raw = kit.stream_head + kit.chunk(events[:70]) + kit.chunk(events[70:]) + b"0\r\n\r\n"
    at = 0
    for cut in sorted({min(c, len(raw)) for c in cuts}):
        if cut > at:
            engine.protocol.data_received(raw[at:cut])
            at = cut
    if raw[at:]:
        engine.protocol.data_received(raw[at:])
    _, payload, ended = kit.unchunked(transport.data)
    assert payload == kit.event("a") + kit.event("b") + kit.done
    assert ended
    assert rig.records()[0].record.tokens_out == 3
    assert rig.leaks() == (0, 0, 0)


def test_a_request_split_at_every_byte_is_the_same_request(make):
    whole = make(1)
    raw = whole.post(STREAMED)
    expected = whole.ask(raw)[2].data
    for cut in range(1, len(raw)):
        rig = make(1)
        client, _ = rig.client()
        client.data_received(raw[:cut])
        client.data_received(raw[cut:])
        rig.loop.run()
        assert rig.loop.dialled[-1].data == expected


def test_a_client_that_leaves_stops_the_engine_at_once_and_is_billed(rig, kit):
    client, _, engine = rig.ask(rig.post(STREAMED))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    client.connection_lost(None)
    assert engine.closed
    record = rig.records()[0].record
    assert (record.status, record.tokens_out, record.estimated) == ("cancelled", 1, True)
    assert record.tokens_in > 0
    assert rig.leaks() == (0, 0, 0)


def test_an_engine_that_dies_in_mid_stream_ends_it_with_an_error_event(rig, kit):
    _, transport, engine = rig.ask(rig.post(STREAMED))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    _, payload, ended = kit.unchunked(transport.data)
    assert not ended
    assert b"[DONE]" not in payload
    error = json.loads(payload.rpartition(b"data: ")[2])["error"]
    assert error["code"] == "upstream"
    assert transport.closed
    assert rig.records()[0].record.status == "failed"
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_that_stops_without_done_is_no_clean_end(rig, kit):
    _, transport, engine = rig.ask(rig.post(STREAMED))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")) + b"0\r\n\r\n")
    _, payload, ended = kit.unchunked(transport.data)
    assert not ended
    assert b'"error"' in payload
    assert transport.closed


def test_before_the_first_byte_another_place_is_tried(make, kit):
    rig = make(1, 2)
    rig.loop.refusing = {1, 2} - {2}
    _, transport, _ = rig.ask()
    if not rig.loop.dialled:
        rig.loop.run()
    engine = rig.loop.dialled[-1]
    assert engine.port == 2
    engine.protocol.data_received(kit.answer())
    assert b"HTTP/1.1 200" in transport.data
    assert rig.records()[0].record.endpoint == "e2"
    assert rig.leaks() == (0, 0, 0)


def test_with_no_other_place_the_answer_is_502_and_nothing_is_billed(rig):
    rig.loop.refusing = {1}
    _, transport, _ = rig.ask()
    assert transport.data.startswith(b"HTTP/1.1 502")
    record = rig.records()[0].record
    assert (record.status, record.tokens_in, record.tokens_out, record.cost) == ("failed", 0, 0, 0)
    assert rig.leaks() == (0, 0, 0)


def test_retries_end_with_their_budget(make):
    rig = make(1, 2)
    rig.loop.refusing = {1, 2}
    tried = []
    for _ in range(40):
        rig.ask()
        rig.book()
        tried.append(rig.worker.counters["retries"])
    assert 1 <= tried[-1] <= 6


def test_a_pooled_connection_that_was_dead_costs_the_client_nothing(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    client.data_received(rig.post())
    engine.protocol.connection_lost(None)
    rig.loop.run()
    again = rig.loop.dialled[-1]
    assert again is not engine
    again.protocol.data_received(kit.answer())
    assert transport.data.count(b"HTTP/1.1 200") == 2
    assert rig.leaks() == (0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (
            b"HTTP/1.1 400 Bad\r\nContent-Length: 29\r\n\r\n" + b'{"error":{"message":"no way"}}',
            400,
        ),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", 502),
        (b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\n{}", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope", 502),
        (b"SSH-2.0-OpenSSH\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 17000, 502),
    ],
)
def test_engine_errors_are_mapped(rig, raw, status):
    _, transport, engine = rig.ask()
    engine.protocol.data_received(raw)
    assert transport.data.startswith(b"HTTP/1.1 %d" % status)
    assert rig.leaks() == (0, 0, 0)


def test_an_interim_reply_is_skipped_and_a_second_reply_is_not_used(rig, kit):
    _, transport, engine = rig.ask()
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    engine.protocol.data_received(hints + kit.answer() + kit.answer(b'{"poison":1}'))
    assert body_of(transport.data) == json.loads(kit.reply)
    assert engine.closed
    assert rig.leaks() == (0, 0, 0)


def test_a_reply_over_its_limit_is_refused(rig):
    _, transport, engine = rig.ask()
    engine.protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
    for _ in range(9):
        if not engine.closed:
            engine.protocol.data_received(b"x" * 1024 * 1024)
    assert transport.data.startswith(b"HTTP/1.1 502")
    assert engine.closed


def test_the_deadline_ends_a_request_before_the_first_byte_with_504(rig):
    client, transport, engine = rig.ask(rig.post(extra="x-littoral-deadline-ms: 500\r\n"))
    rig.clock.advance(0.6)
    client.expire(rig.clock.now())
    assert transport.data.startswith(b"HTTP/1.1 504")
    assert engine.closed
    assert rig.leaks() == (0, 0, 0)


def test_a_second_place_has_only_what_is_left_of_the_deadline(make):
    rig = make(1, 2)
    client, _, engine = rig.ask(rig.post(extra="x-littoral-deadline-ms: 500\r\n"))
    rig.clock.advance(0.4)
    engine.protocol.connection_lost(None)
    rig.loop.run()
    assert len(rig.loop.dialled) == 2
    assert client.due == pytest.approx(100.5)


def test_a_slow_reader_stops_the_engine_from_being_read(rig, kit):
    client, transport, engine = rig.ask(rig.post(STREAMED))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    client.pause_writing()
    assert engine.paused
    client.resume_writing()
    assert not engine.paused
    client.pause_writing()
    transport.unsent = 2_000_000
    rig.clock.advance(31)
    client.expire(rig.clock.now())
    assert transport.closed


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_failure_of_our_own_is_one_500_and_leaks_nothing(make, kit, path):
    failpoints = ArmedFailpoints()
    failpoints.arm("request.admitted")
    rig = make(1, failpoints=failpoints)
    body = json.dumps(json.loads(kit.body) | kit.wish).encode()
    _, transport, _ = rig.ask(rig.post(body, path=path))
    assert transport.data.startswith(b"HTTP/1.1 500")
    assert rig.loop.errors
    assert rig.leaks() == (0, 0, 0)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=34, max_size=34))
def test_a_thousand_aborts_at_random_points_leak_nothing(make, kit, plan):
    rig = make(1, 2)
    steps = [
        kit.stream_head,
        kit.chunk(kit.event("a")),
        kit.chunk(kit.event("b"))[:20],
        kit.chunk(kit.event("b"))[20:],
        kit.chunk(kit.usage + kit.done),
    ]
    for point, by_client in plan:
        client, _ = rig.client()
        client.data_received(rig.post(STREAMED))
        if point:
            rig.loop.run()
            busy = [t for t in rig.loop.dialled if t.protocol.owner is not None]
            for step in steps[: point - 1]:
                busy[-1].protocol.data_received(step)
            if not by_client:
                busy[-1].closed = True
                busy[-1].protocol.connection_lost(ConnectionResetError())
        client.connection_lost(None)
        rig.loop.run()
        assert rig.leaks() == (0, 0, 0)
    for place in rig.worker.source.places():
        assert rig.worker.pool(place).idle == 0
