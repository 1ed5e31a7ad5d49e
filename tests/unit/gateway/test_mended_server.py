"""What an endpoint that is not exact says is mended on its way; other answers are not touched."""

import json

STREAMED = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
ANSWER = (
    b'{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":5}}'
)


def inexact(make):
    rig = make()
    rig.endpoints(rig.endpoint(1, exact=False))
    return rig


def test_a_whole_reply_is_mended_and_booked(make, kit):
    rig = inexact(make)
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer(ANSWER))
    body = json.loads(transport.data.partition(b"\r\n\r\n")[2])
    assert body["choices"][0]["message"]["refusal"] is None
    assert (body["model"], body["created"]) == ("m", rig.worker.wall_us // 1_000_000)
    record = rig.records()[0].record
    assert (record.tokens_in, record.tokens_out) == (7, 5)
    assert rig.leaks() == (0, 0, 0)


def test_a_stream_is_mended_and_ends_once(make, kit):
    rig = inexact(make)
    _, transport, engine = rig.ask(rig.post(STREAMED))
    sent = kit.event("a") + kit.usage + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(sent) + b"0\r\n\r\n")
    _, payload, ended = kit.unchunked(transport.data)
    assert b'"role":"assistant"' in payload
    assert b'"usage"' not in payload
    assert payload.count(b"[DONE]") == 1
    assert ended
    assert rig.records()[0].record.tokens_out == 3


def test_a_retry_at_an_exact_place_is_passed_on_untouched(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, exact=False), rig.endpoint(2))
    rig.worker.source.tables.models["m"].retries.left = 5.0
    _, transport, engine = rig.ask(rig.post(STREAMED))
    first, other = engine.port, 3 - engine.port
    engine.protocol.connection_lost(None)
    rig.loop.run()
    engine = rig.loop.dialled[-1]
    assert (first, engine.port) == (1, other)
    sent = kit.event("a") + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(sent) + b"0\r\n\r\n")
    assert kit.unchunked(transport.data)[1] == sent


def test_a_reply_that_cannot_be_mended_is_the_engines_failure(make, kit):
    rig = inexact(make)
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer(b'{"choices":[{}]}'))
    assert transport.data.startswith(b"HTTP/1.1 502 ")
    assert rig.loop.errors == []
    assert rig.leaks() == (0, 0, 0)
