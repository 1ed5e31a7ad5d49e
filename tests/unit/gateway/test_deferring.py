"""Requests that may wait: what is kept, what is not, and what is told about them."""

import json

import pytest

from deferred import CHAT, deferral
from littoral.domain.ids import ProjectId
from littoral.domain.project import Keeping
from littoral.domain.session import Defer, Look, Reach, Shelved
from littoral.domain.units import Micros
from littoral.gateway.refusal import Refusal

WAITS = "x-littoral-defer: 60\r\n"


def told(node, *deferrals, **refusal) -> None:
    number = node.asked[-1].number
    node.shelf.take(Shelved(number=number, deferrals=deferrals, **refusal))


@pytest.fixture
def alone(make, kit):
    """A gateway that knows a model and no place of it."""
    rig = make()
    return rig, kit.node(rig)


def test_what_no_place_can_serve_is_kept_and_answered_with_202(alone, kit):
    rig, node = alone
    _, transport, _ = rig.ask(rig.post(extra=WAITS))
    (asked,) = node.asked
    assert isinstance(asked, Defer)
    kept = asked.deferral
    assert (kept.project, kept.key, kept.model) == ("p", rig.grant.id, "m")
    assert (kept.path, kept.body) == ("/v1/chat/completions", kit.body)
    assert kept.expires_us - kept.accepted_us == 60_000_000
    assert transport.data == b""  # nothing is said before it is on disk
    told(node, kept)
    said = kit.body_of(transport)
    assert kit.status_of(transport) == 202
    assert (said["id"], said["status"], said["object"]) == (kept.id, "queued", "deferred")
    assert f"location: /v1/deferred/{kept.id}\r\n".encode() in transport.data
    assert f"x-request-id: {said['request_id']}\r\n".encode() in transport.data
    assert said["request_id"] == kept.request
    assert rig.records() == []


def test_what_a_place_can_serve_is_answered_at_once(rig, kit):
    _, transport, engine = rig.ask(rig.post(extra=WAITS))
    engine.protocol.data_received(kit.answer())
    assert kit.status_of(transport) == 200


def test_a_request_whose_engine_fails_before_its_first_byte_is_kept_under_another_id(rig, node):
    _, _, engine = rig.ask(rig.post(extra=WAITS))
    engine.protocol.connection_lost(None)
    rig.loop.run()
    (asked,) = node.asked
    (failed,) = rig.records()
    assert failed.record.status == "failed"
    assert asked.deferral.request != failed.record.request


def test_a_stream_that_has_begun_is_not_kept(rig, node, kit):
    body = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'
    _, transport, engine = rig.ask(rig.post(body, extra=WAITS))
    engine.protocol.data_received(kit.stream_head + kit.chunk(kit.event("a")))
    engine.protocol.connection_lost(None)
    assert b'"error"' in transport.data
    assert node.asked == []


def test_where_every_place_would_miss_the_deadline_it_waits(rig, node):
    rig.ask(rig.post(extra=WAITS + "x-littoral-deadline-ms: 1\r\n"))
    (asked,) = node.asked
    assert asked.deferral.reason == "every place would miss the deadline"


@pytest.mark.parametrize(
    ("extra", "seconds"), [("x-littoral-defer: true\r\n", 86_400), (WAITS, 60)]
)
def test_who_does_not_say_how_long_waits_a_day(alone, extra, seconds):
    rig, node = alone
    rig.ask(rig.post(extra=extra))
    kept = node.asked[0].deferral
    assert kept.expires_us - kept.accepted_us == seconds * 1_000_000


@pytest.mark.parametrize("value", ["0", "-1", "2592001", "yes", "1.5", ""])
def test_a_wrong_patience_is_refused_and_says_what_is_allowed(alone, kit, value):
    rig, node = alone
    _, transport, _ = rig.ask(rig.post(extra=f"x-littoral-defer: {value}\r\n"))
    error = kit.body_of(transport)["error"]
    assert (kit.status_of(transport), error["param"]) == (400, "x-littoral-defer")
    assert "true, or 1 to 2592000 seconds" in error["message"]
    assert node.asked == []


def test_a_long_idempotency_key_is_refused(alone, kit):
    rig, _ = alone
    _, transport, _ = rig.ask(rig.post(extra=f"{WAITS}idempotency-key: {'k' * 256}\r\n"))
    assert kit.body_of(transport)["error"]["param"] == "idempotency-key"


@pytest.mark.parametrize("path", ["/v1/moderations", "/tokenize", "/v1/messages/count_tokens"])
def test_paths_that_take_no_while_do_not_defer(alone, kit, path):
    rig, node = alone
    _, transport, _ = rig.ask(rig.post(b"{}", path=path, extra=WAITS))
    assert kit.status_of(transport) == 400
    assert b"/v1/chat/completions" in transport.data
    assert node.asked == []


@pytest.mark.parametrize(
    "field", [{"background": True}, {"store": True}, {"previous_response_id": "resp_1"}]
)
def test_what_is_stored_as_a_response_is_not_deferred_too(alone, kit, field):
    rig, node = alone
    body = json.dumps({"model": "m", "input": "hi", **field}).encode()
    _, transport, _ = rig.ask(rig.post(body, path="/v1/responses", extra=WAITS))
    (name,) = field
    assert kit.body_of(transport)["error"]["param"] == name
    assert node.asked == []


def test_a_body_that_is_wrong_is_refused_and_not_kept(alone, kit):
    rig, node = alone
    for path, body in (("/v1/responses", b'{"model":1}'), ("/v1/chat/completions", b"{")):
        _, transport, _ = rig.ask(rig.post(body, path=path, extra=WAITS))
        assert kit.status_of(transport) == 400
    assert node.asked == []


def test_a_response_is_kept_as_any_other(alone):
    rig, node = alone
    rig.ask(rig.post(b'{"model":"m","input":"hi"}', path="/v1/responses", extra=WAITS))
    assert node.asked[0].deferral.path == "/v1/responses"


def test_a_project_that_stores_no_content_defers_nothing(alone, kit):
    rig, node = alone
    rig.worker.source.tables.keeping = {ProjectId("p"): Keeping(store="never")}
    _, transport, _ = rig.ask(rig.post(extra=WAITS))
    assert kit.status_of(transport) == 403
    assert node.asked == []


def test_an_unknown_model_waits_only_while_control_is_away(alone, kit):
    rig, node = alone
    body = CHAT.replace(b'"m"', b'"far"')
    _, transport, _ = rig.ask(rig.post(body, extra=WAITS))
    assert kit.status_of(transport) == 404
    rig.worker.take_reach(Reach(offline=True))
    rig.ask(rig.post(body, extra=WAITS))
    assert node.asked[0].deferral.model == "far"


def test_a_key_defers_only_what_it_may_use(make, kit):
    rig = make(models=("m",))
    node = kit.node(rig)
    rig.worker.take_reach(Reach(offline=True))
    body = CHAT.replace(b'"m"', b'"far"')
    _, transport, _ = rig.ask(rig.post(body, extra=WAITS))
    assert kit.status_of(transport) == 404
    assert node.asked == []


# idempotency


def again(rig, *, body=CHAT):
    return rig.ask(rig.post(body, extra=f"{WAITS}idempotency-key: one\r\n"))


def test_what_came_with_the_same_key_before_is_not_done_twice(rig, node, kit):
    _, transport, _ = again(rig)
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="one", act="same")]
    told(node, deferral(idempotency="one"))
    assert kit.status_of(transport) == 202
    assert kit.body_of(transport)["id"] == "dfr_old"
    assert rig.loop.dialled == []


def test_a_key_that_is_new_is_served_as_usual_and_kept_with_what_waits(alone):
    rig, node = alone
    again(rig)
    told(node)
    assert node.asked[-1].deferral.idempotency == "one"


def test_a_key_that_came_with_another_body_is_a_conflict(rig, node, kit):
    _, transport, _ = again(rig)
    told(node, deferral(idempotency="one", digest="other"))
    assert kit.status_of(transport) == 409
    assert kit.body_of(transport)["error"]["param"] == "idempotency-key"


# ends while the node is asked


def test_a_client_that_leaves_is_not_answered_and_its_request_stays(alone):
    rig, node = alone
    client, transport, _ = rig.ask(rig.post(extra=WAITS))
    client.connection_lost(None)
    transport.closed = True
    told(node, deferral())
    assert transport.data == b""


def test_a_node_that_is_silent_or_refuses_is_told(alone, kit):
    rig, node = alone
    _, late, _ = rig.ask(rig.post(extra=WAITS))
    rig.clock.advance(31.0)
    for _ in range(10):
        rig.worker.tick()
    assert kit.status_of(late) == 504
    _, full, _ = rig.ask(rig.post(extra=WAITS))
    told(node, status=507, code="storage_full", message="no room")
    assert kit.status_of(full) == 507
    client, cut, _ = rig.ask(rig.post(extra=WAITS))
    client.pause_writing()
    client.resume_writing()
    client.cut(Refusal(503, "unavailable", "stopping"))
    assert kit.status_of(cut) == 503


def test_an_answer_that_makes_no_sense_fails_one_request(alone, kit):
    rig, node = alone
    _, transport, _ = rig.ask(rig.post(extra=WAITS))
    told(node)
    assert kit.status_of(transport) == 500
    assert len(rig.loop.errors) == 1


# questions


def test_deferrals_are_listed_in_pages(ask, node, kit):
    _, transport, _ = ask("GET", "/v1/deferred?limit=1&before=9")
    (asked,) = node.asked
    assert (asked.act, asked.before, asked.limit) == ("list", 9, 2)
    told(node, deferral(number=8), deferral(number=7))
    said = kit.body_of(transport)
    assert [each["id"] for each in said["data"]] == ["dfr_old"]
    assert (said["has_more"], said["next"]) == (True, 8)
    _, transport, _ = ask("GET", "/v1/deferred")
    assert (node.asked[-1].before, node.asked[-1].limit) == (0, 101)
    told(node)
    assert kit.body_of(transport)["next"] is None


def test_a_deferral_is_shown(ask, node, kit):
    _, transport, _ = ask("GET", "/v1/deferred/dfr_old")
    assert node.asked == [Look(number=1, project=ProjectId("p"), response="dfr_old")]
    told(node, deferral(state="completed", ended_us=Micros(2_000_000), runs=1))
    said = kit.body_of(transport)
    assert said["result"] == "/v1/deferred/dfr_old/result"
    assert (said["ended_at"], said["attempts"], said["reason"]) == (2, 1, None)


def test_a_result_has_the_type_that_its_answer_had(ask, node):
    _, transport, _ = ask("GET", "/v1/deferred/dfr_old/result")
    assert node.asked[0].act == "thread"
    told(node, deferral(state="completed", media="audio/wav", answer=b"RIFF"))
    assert b"content-type: audio/wav\r\n" in transport.data
    assert transport.data.endswith(b"\r\n\r\nRIFF")


@pytest.mark.parametrize(
    ("state", "ended_us", "said"),
    [("queued", None, "ask for its result once"), ("expired", Micros(1), "too late")],
)
def test_what_has_no_result_says_why(ask, node, kit, state, ended_us, said):
    _, transport, _ = ask("GET", "/v1/deferred/dfr_old/result")
    told(node, deferral(state=state, ended_us=ended_us, reason="too late"))
    assert kit.status_of(transport) == 409
    assert said in kit.body_of(transport)["error"]["message"]


def test_a_deferral_is_cancelled_or_dropped(ask, node, kit):
    _, transport, _ = ask("DELETE", "/v1/deferred/dfr_old")
    assert node.asked[-1].act == "drop"
    told(node, deferral(state="cancelled", ended_us=Micros(1)))
    assert kit.body_of(transport)["status"] == "cancelled"
    _, transport, _ = ask("DELETE", "/v1/deferred/dfr_old")
    told(node)
    assert kit.body_of(transport)["deleted"] is True
    _, transport, _ = ask("POST", "/v1/deferred/dfr_old/cancel")
    assert node.asked[-1].act == "halt"
    told(node, deferral(state="cancelled", ended_us=Micros(1)))
    assert kit.body_of(transport)["status"] == "cancelled"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/deferred/dfr_1", 405),
        ("POST", "/v1/deferred", 405),
        ("DELETE", "/v1/deferred", 405),
        ("GET", "/v1/deferred/other", 404),
        ("GET", "/v1/deferred?limit=0", 400),
        ("GET", "/v1/deferred?limit=101", 400),
        ("GET", "/v1/deferred?before=x", 400),
    ],
)
def test_what_is_no_question_is_refused_without_asking(ask, node, method, path, status, kit):
    _, transport, _ = ask(method, path)
    assert kit.status_of(transport) == status
    assert node.asked == []


def test_only_keys_that_may_call_models_see_what_waits(make, kit):
    rig = make(1, scopes=("read",))
    node = kit.node(rig)
    raw = rig.post(b"", path="/v1/deferred").replace(b"POST", b"GET", 1)
    _, transport, _ = rig.ask(raw)
    assert kit.status_of(transport) == 403
    assert node.asked == []
