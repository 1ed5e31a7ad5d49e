"""Responses that the node keeps: before, after and instead of asking an engine."""

import json

import pytest

from littoral.domain.errors import TooLarge
from littoral.domain.ids import ProjectId
from littoral.domain.project import Keeping
from littoral.domain.session import Keep, Leave, Look
from littoral.gateway.refusal import Refusal

FULL = {"status": 507, "code": "storage_full", "message": "no room"}


def test_without_a_store_it_is_an_exchange_like_any_other(rig, kit, ask, node):
    _, transport, engine = ask()
    engine.protocol.data_received(kit.answer(kit.said()))
    assert kit.body_of(transport)["output"][0]["content"][0]["text"] == "yes"
    assert b"x-littoral-route: here/e1" in transport.data
    assert node.asked == []
    assert rig.leaks() == (0, 0, 0)


def test_an_answer_that_is_to_be_stored_leaves_when_it_is_on_disk(rig, kit, ask, node):
    _, transport, engine = ask(store=True, metadata={"k": "v"})
    engine.protocol.data_received(kit.answer(kit.said()))
    assert transport.data == b""
    assert rig.leaks() == (0, 0, 0)
    (keep,) = node.asked
    assert isinstance(keep, Keep)
    kept = keep.response
    assert (kept.project, kept.status, kept.background) == ("p", "completed", False)
    assert kept.expires_us - kept.created_us == 30 * 86_400_000_000
    assert json.loads(kept.input)[0]["content"] == [{"type": "input_text", "text": "hi"}]
    node.answer()
    assert kit.body_of(transport) == json.loads(kept.body)
    assert kit.body_of(transport)["store"] is True
    assert kept.id == kit.body_of(transport)["id"]


def test_a_full_disk_is_told_instead_of_the_answer_and_the_tokens_are_booked(rig, kit, ask, node):
    _, transport, engine = ask(store=True)
    engine.protocol.data_received(kit.answer(kit.said()))
    node.answer(**FULL)
    assert kit.status_of(transport) == 507
    assert [each.record.tokens_out for each in rig.records()] == [5]


def test_the_end_of_a_stream_waits_for_the_disk(kit, ask, node):
    _, transport, engine = ask(store=True, stream=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    assert b"response.created" in transport.data
    engine.protocol.data_received(kit.chunk(kit.usage + kit.done) + b"0\r\n\r\n")
    assert b"response.completed" not in transport.data
    node.answer()
    _, payload, ended = kit.unchunked(transport.data)
    assert ended
    assert payload.endswith(b"data: [DONE]\n\n")
    last = next(line for line in payload.split(b"\n") if b'"type":"response.completed"' in line)
    assert json.loads(last[6:])["response"] == json.loads(node.asked[0].response.body)


def test_a_stream_that_cannot_be_stored_ends_as_failed(kit, ask, node):
    _, transport, engine = ask(store=True, stream=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.data_received(kit.chunk(kit.done) + b"0\r\n\r\n")
    node.answer(**FULL)
    _, payload, ended = kit.unchunked(transport.data)
    assert not ended
    assert b"event: error" in payload
    assert b"response.failed" in payload
    assert b"response.completed" not in payload


def test_a_short_stream_that_cannot_be_stored_is_refused_plainly(kit, ask, node):
    _, transport, engine = ask(store=True, stream=True)
    whole = kit.event("a") + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(whole) + b"0\r\n\r\n")
    node.answer(**FULL)
    assert kit.status_of(transport) == 507


def test_a_stream_that_breaks_is_stored_as_failed(kit, ask, node):
    _, transport, engine = ask(store=True, stream=True)
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    (keep,) = node.asked
    assert keep.response.status == "failed"
    assert b"response.failed" in transport.data
    node.answer()


def test_what_it_continues_comes_before_it(rig, ask, node, kit):
    output = (
        b'[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"yo"}]}]'
    )
    before = kit.stored(
        input=b'[{"type":"message","role":"user","content":"earlier"}]',
        body=b'{"id":"resp_1","status":"completed","output":%b}' % output,
    )
    ask(previous_response_id="resp_1", instructions="brief")
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="resp_1", act="thread")]
    assert not rig.loop.dialled
    node.answer(before)
    rig.loop.run()
    sent = json.loads(rig.loop.dialled[0].data.partition(b"\r\n\r\n")[2])
    assert [message["content"] for message in sent["messages"]] == ["brief", "earlier", "yo", "hi"]


def test_continuing_what_is_not_there_is_a_404(rig, ask, node, kit):
    _, transport, _ = ask(previous_response_id="resp_1")
    node.answer(status=404, code="not_found", message="no stored response")
    assert kit.status_of(transport) == 404
    assert rig.leaks() == (0, 0, 0)


def test_a_refusal_after_looking_up_is_told(rig, ask, node, kit):
    _, transport, _ = ask(previous_response_id="resp_1", model="absent")
    node.answer(kit.stored())
    assert kit.status_of(transport) == 404
    assert not rig.loop.dialled


def test_a_store_that_answers_nonsense_fails_one_request(rig, ask, node, kit):
    _, transport, _ = ask(previous_response_id="resp_1")
    node.answer(kit.stored(input=b"nonsense"))
    assert kit.status_of(transport) == 500
    assert rig.loop.errors


def test_in_the_background_it_is_answered_when_on_disk_and_no_engine_is_asked(rig, ask, node, kit):
    _, transport, engine = ask(background=True)
    assert (engine, transport.data) == (None, b"")
    kept = node.asked[0].response
    assert (kept.status, kept.background, kept.streamed) == ("queued", True, False)
    assert json.loads(kept.asked)["input"][0]["content"] == "hi"
    node.answer()
    said = kit.body_of(transport)
    assert (said["status"], said["background"], said["store"]) == ("queued", True, True)
    assert said["id"] == kept.id
    assert rig.records() == []


def test_in_the_background_an_unknown_model_is_refused_at_once(ask, node, kit):
    _, transport, _ = ask(background=True, model="absent")
    assert kit.status_of(transport) == 404
    assert node.asked == []


def test_who_left_is_not_written_to_any_more(rig, kit, ask, node):
    client, transport, engine = ask(store=True)
    engine.protocol.data_received(kit.answer(kit.said()))
    client.connection_lost(None)
    transport.closed = True
    node.answer()
    client, transport, _ = ask(previous_response_id="resp_1")
    client.connection_lost(None)
    transport.closed = True
    node.answer(kit.stored())
    assert rig.leaks() == (0, 0, 0)


def test_a_store_that_does_not_answer_ends_the_request(rig, ask, node, kit):
    _, transport, _ = ask(background=True)
    rig.clock.advance(31.0)
    for _ in range(10):
        rig.worker.tick()
    assert kit.status_of(transport) == 504
    node.answer()


def test_without_its_node_nothing_is_stored(ask, kit):
    _, transport, _ = ask(background=True)
    assert kit.status_of(transport) == 503


def test_a_node_that_goes_ends_every_question(ask, node, kit):
    _, transport, _ = ask(background=True)
    node.shelf.lost()
    assert kit.status_of(transport) == 503


def test_too_many_questions_are_refused(node):
    heard = []
    for _ in range(257):
        node.shelf.ask(lambda number: Leave(number=number), heard.append)
    assert [each.code for each in heard] == ["overloaded"]


def test_what_fits_no_frame_is_refused(ask, node, kit):
    def refuse(_frame):
        raise TooLarge("too large")

    node.shelf.send = refuse
    _, transport, _ = ask(background=True)
    assert kit.status_of(transport) == 413


def rule(rig, **fields):
    keeping = {ProjectId("p"): Keeping(**fields)}
    rig.worker.source.tables.keeping = keeping


def test_a_project_may_store_always_or_never(rig, kit, ask, node):
    rule(rig, store="always", days=1)
    _, _, engine = ask()
    engine.protocol.data_received(kit.answer(kit.said()))
    kept = node.asked[0].response
    assert kept.expires_us - kept.created_us == 86_400_000_000
    ask(store=False)
    assert len(node.asked) == 1
    rule(rig, store="never")
    for wish in ({"store": True}, {"background": True}):
        _, transport, _ = ask(**wish)
        assert kit.status_of(transport) == 403
        assert "administrator" in kit.body_of(transport)["error"]["message"]
    ask()
    assert len(node.asked) == 1


@pytest.mark.parametrize("way", ["time", "revoked"])
def test_a_short_stream_that_ends_while_it_waits_for_the_disk_is_refused_whole(
    rig, kit, ask, node, way
):
    client, transport, engine = ask(store=True, stream=True)
    whole = kit.event("a") + kit.usage + kit.done
    engine.protocol.data_received(kit.stream_head + kit.chunk(whole) + b"0\r\n\r\n")
    assert transport.data == b""
    if way == "time":
        rig.clock.advance(31.0)
        for _ in range(10):
            rig.worker.tick()
        assert kit.status_of(transport) == 504
        assert "the node did not answer" in kit.body_of(transport)["error"]["message"]
    else:
        client.cut(Refusal(401, "unauthenticated", "revoked"))
        assert kit.status_of(transport) == 401
    written = transport.data
    node.answer()
    assert transport.data == written
    assert rig.leaks() == (0, 0, 0)
