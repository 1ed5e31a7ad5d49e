"""Questions about stored responses, and streams of those in the background."""

import json

import pytest

from littoral.domain.ids import ProjectId
from littoral.domain.session import Leave, Look
from littoral.gateway.refusal import Refusal


def test_a_stored_response_is_shown_with_the_status_of_the_store(ask, node, kit):
    _, transport, _ = ask("GET", "/v1/responses/resp_1?include=x")
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="resp_1")]
    node.answer(kit.stored(status="failed", reason="why"))
    said = kit.body_of(transport)
    assert (said["status"], said["error"]) == ("failed", {"code": "server_error", "message": "why"})
    assert b"x-request-id: req_" in transport.data


def test_a_response_is_deleted(ask, node, kit):
    _, transport, _ = ask("DELETE", "/v1/responses/resp_1")
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="resp_1", act="drop")]
    node.answer()
    assert kit.body_of(transport) == {"id": "resp_1", "object": "response", "deleted": True}


def test_a_response_is_cancelled(ask, node, kit):
    _, transport, _ = ask("POST", "/v1/responses/resp_1/cancel")
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="resp_1", act="halt")]
    node.answer(kit.stored(status="cancelled"))
    assert kit.body_of(transport)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", ["b", "a"], False),
        ("?order=asc", ["a", "b"], False),
        ("?limit=1", ["b"], True),
        ("?order=asc&after=a", ["b"], False),
        ("?after=a", [], False),
    ],
)
def test_items_of_the_input_come_in_pages(ask, node, query, ids, more, kit):
    _, transport, _ = ask("GET", f"/v1/responses/resp_1/input_items{query}")
    node.answer(kit.stored())
    page = kit.body_of(transport)
    assert [item["id"] for item in page["data"]] == ids
    assert (page["object"], page["has_more"]) == ("list", more)
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [
        ("limit=0", 400, "limit"),
        ("limit=101", 400, "limit"),
        ("limit=%C2%B2", 400, "limit"),  # a digit to Python, and no number
        ("order=up", 400, "order"),
        ("after=zz", 404, "after"),
    ],
)
def test_a_page_that_cannot_be_is_refused(ask, node, query, status, param, kit):
    _, transport, _ = ask("GET", f"/v1/responses/resp_1/input_items?{query}")
    node.answer(kit.stored())
    assert kit.status_of(transport) == status
    assert kit.body_of(transport)["error"]["param"] == param


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/responses/resp_1", 405),
        ("POST", "/v1/responses/compact", 404),
        ("GET", "/v1/responses/resp_1/cancel", 405),
        ("GET", "/v1/responses/a/b/c", 404),
        ("GET", "/v1/responses/a.b", 404),
        ("GET", "/v1/responses/resp_1?stream=true&starting_after=x", 400),
        ("GET", "/v1/responses/resp_1?stream=true&starting_after=%C2%B2", 400),
    ],
)
def test_what_is_no_question_is_refused_without_asking(ask, node, method, path, status, kit):
    _, transport, _ = ask(method, path)
    assert kit.status_of(transport) == status
    assert node.asked == []


def test_only_keys_that_may_call_models_see_what_these_answered(make, kit):
    rig = make(1, scopes=("read",))
    node = kit.node(rig)
    more = json.dumps({**kit.wish, "previous_response_id": "resp_1"}).encode()
    for raw in (
        rig.post(b"", path="/v1/responses/resp_1").replace(b"POST", b"GET", 1),
        rig.post(more, path="/v1/responses"),
        rig.post(b"", path="/v1/responses/resp_1", key="lit-sk-wrong"),
    ):
        _, transport, _ = rig.ask(raw)
        assert kit.status_of(transport) in {401, 403}
    assert node.asked == []


def test_a_question_ends_with_its_time_its_client_or_our_stop(rig, ask, node, kit):
    _, late, _ = ask("GET", "/v1/responses/resp_1")
    rig.clock.advance(31.0)
    for _ in range(10):
        rig.worker.tick()
    assert kit.status_of(late) == 504
    client, gone, _ = ask("GET", "/v1/responses/resp_1")
    client.connection_lost(None)
    gone.closed = True
    node.answer(kit.stored())
    client, cut, _ = ask("GET", "/v1/responses/resp_1")
    client.cut(Refusal(503, "unavailable", "stopping"))
    node.answer(kit.stored())
    assert kit.status_of(cut) == 503


# streams in the background


def event(number, kind="response.output_text.delta", **more):
    body = {"type": kind, "sequence_number": number, **more}
    return f"event: {kind}\ndata: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


LAST = event(3, "response.completed", response={"id": "resp_1", "status": "completed"})
RUNNING = {"status": "in_progress", "streamed": True, "background": True}


def follow(kit, ask, node, query="stream=true"):
    client, transport, _ = ask("GET", f"/v1/responses/resp_1?{query}")
    assert kit.follows(node.asked[-1])
    node.answer(kit.stored(**RUNNING))
    return client, transport


def test_a_follower_hears_from_any_event_on_to_the_end(kit, ask, node):
    _, transport = follow(kit, ask, node, "stream=true&starting_after=0")
    assert b"text/event-stream" in transport.data
    node.hear(event(0) + event(1))
    node.hear(event(2))
    node.hear(LAST + kit.done)
    node.hear(ended=True)
    _, payload, ended = kit.unchunked(transport.data)
    assert payload == event(1) + event(2) + LAST + kit.done
    assert ended


@pytest.mark.parametrize(
    ("end", "names"),
    [
        ({"status": "cancelled"}, [b"response.cancelled"]),
        ({"status": "failed", "reason": "100 % lost"}, [b"error", b"response.failed"]),
    ],
)
def test_a_stream_that_did_not_say_its_end_is_told_what_the_store_says(kit, ask, node, end, names):
    _, transport = follow(kit, ask, node)
    node.hear(event(0))
    node.hear(ended=True)
    assert isinstance(node.asked[-1], Look)
    node.answer(kit.stored(**{**RUNNING, **end}))
    _, payload, ended = kit.unchunked(transport.data)
    assert ended
    told = [each for each in payload.split(b"\n\n") if each.startswith(b"event: ")][1:]
    assert [each.split(b"\n")[0][7:] for each in told] == names
    numbers = [json.loads(each.split(b"\n")[1][6:])["sequence_number"] for each in told]
    assert numbers == list(range(1, 1 + len(names)))


def test_a_stream_whose_end_cannot_be_seen_just_closes(kit, ask, node):
    _, transport = follow(kit, ask, node)
    node.hear(ended=True)
    node.answer(status=404, code="not_found", message="gone")
    assert transport.closed
    assert not kit.unchunked(transport.data)[2]


def test_only_what_was_asked_for_as_a_stream_can_be_followed(ask, node, kit):
    _, transport, _ = ask("GET", "/v1/responses/resp_1?stream=true")
    node.answer(kit.stored())
    assert kit.status_of(transport) == 400
    assert isinstance(node.asked[-1], Leave)
    _, transport, _ = ask("GET", "/v1/responses/resp_1?stream=true")
    node.answer(status=404, code="not_found", message="gone")
    assert kit.status_of(transport) == 404


def test_a_silent_stream_is_kept_open_with_comments(rig, kit, ask, node):
    _, transport = follow(kit, ask, node)
    rig.clock.advance(16.0)
    for _ in range(10):
        rig.worker.tick()
    assert b": it goes on\n\n" in kit.unchunked(transport.data)[1]


def test_a_follower_that_leaves_is_no_longer_told(ask, node, kit):
    client, transport = follow(kit, ask, node)
    client.connection_lost(None)
    transport.closed = True
    assert isinstance(node.asked[-1], Leave)
    node.hear(event(0))


def test_a_follower_may_be_cut_and_come_again(ask, node, kit):
    client, transport = follow(kit, ask, node)
    client.cut(Refusal(503, "unavailable", "stopping"))
    assert transport.closed
    client, transport, _ = ask("GET", "/v1/responses/resp_1?stream=true")
    client.cut(Refusal(503, "unavailable", "stopping"))
    assert kit.status_of(transport) == 503


def test_asking_in_the_background_as_a_stream_is_following_from_the_first_event(kit, ask, node):
    client, transport, _ = ask(background=True, stream=True)
    assert node.asked[0].response.streamed
    node.answer()
    assert kit.follows(node.asked[1])
    node.answer(kit.stored(**RUNNING))
    node.hear(event(0))
    client.expire(0.0)
    assert kit.unchunked(transport.data)[1].startswith(event(0))
    client.cut(Refusal(503, "unavailable", "stopping"))
    assert transport.closed
    client, transport, _ = ask(background=True, stream=True)
    node.answer()
    client.connection_lost(None)
    assert isinstance(node.asked[-1], Leave)


def test_a_stored_response_that_makes_no_sense_is_the_failure_of_one_request(ask, node, rig, kit):
    _, transport, _ = ask("GET", "/v1/responses/resp_1")
    node.answer(kit.stored(body=b"no JSON"))
    assert kit.status_of(transport) == 500
    assert kit.body_of(transport)["error"]["code"] == "internal"
    assert len(rig.loop.errors) == 1
