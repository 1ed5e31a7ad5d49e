"""What a client sees beside inference: health, models, the order of errors, drains."""

import json

import pytest

from littoral.domain.errors import Unavailable
from littoral.domain.units import Micros
from littoral.gateway.refusal import refuse


def get(rig, path, *, key=None, method="GET", version="1.1"):
    client, transport = rig.client()
    lines = [f"{method} {path} HTTP/{version}", "Host: x"]
    lines += [f"Authorization: Bearer {key}"] if key else []
    client.data_received("\r\n".join(lines).encode() + b"\r\n\r\n")
    head, _, body = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body, head


def test_health_needs_no_key_and_has_no_body(rig):
    assert get(rig, "/healthz")[:2] == (200, b"")
    assert get(rig, "/readyz", version="1.0")[:2] == (200, b"")
    rig.worker.draining = True
    assert get(rig, "/readyz")[:2] == (503, b"")


def test_models_lists_what_the_key_may_use(make):
    rig = make(models=("m*",))
    rig.snapshot(rig.grant, serves=("m", "m2", "other"))
    status, body, _ = get(rig, "/v1/models", key=rig.key)
    assert status == 200
    listed = json.loads(body)
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["m", "m2"]
    assert set(listed["data"][0]) == {"id", "object", "created", "owned_by"}
    assert json.loads(get(rig, "/v1/models/m2", key=rig.key)[1])["id"] == "m2"
    assert get(rig, "/v1/models/other", key=rig.key)[0] == 404
    assert get(rig, "/v1/models")[0] == 401
    assert get(rig, "/v1/models", key=rig.key, method="POST")[0] == 405


def test_what_is_not_there_is_404(rig):
    status, body, head = get(rig, "/v1/nothing", key=rig.key)
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (404, "not_found", "invalid_request_error")
    assert error["request_id"].encode() in head
    assert set(error) == {"message", "type", "param", "code", "request_id"}


def refusal(rig, body, **fields):
    _, transport, engine = rig.ask(rig.post(body, **fields))
    assert engine is None or engine.data == b""
    head, _, raw = transport.data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(raw)["error"], head


UNKNOWN = b'{"model":"zz","messages":[{"role":"user","content":"hi"}]}'


def test_errors_come_in_their_documented_order(make, kit):
    rig = make(rate=1, models=("other",))
    assert refusal(rig, b"{nope", key="lit-sk-wrong")[0] == 401
    assert refusal(rig, b"{nope")[0] == 400
    assert refusal(rig, UNKNOWN[:-1] + b',"n":0}')[0] == 400
    status, error, _ = refusal(rig, UNKNOWN)
    assert (status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert refusal(rig, kit.body)[:1] == (403,)
    rig = make(rate=1)
    assert refusal(rig, kit.body)[0] == 503
    assert refusal(rig, kit.body)[0] == 503, "a refused request is not charged"


def test_an_unknown_model_is_answered_with_those_the_key_may_use(rig):
    rig.snapshot(rig.grant, serves=("m", "tiny"))
    assert "this key may use: m, tiny" in refusal(rig, UNKNOWN)[1]["message"]


def test_the_request_limit_says_when_to_try_again(make, kit):
    rig = make(1, rate=2)
    for _ in range(2):
        _, transport, _ = rig.ask()
        rig.loop.dialled[-1].protocol.data_received(kit.answer())
        assert b"HTTP/1.1 200" in transport.data
    client, transport = rig.client()
    client.data_received(rig.post())
    head, _, raw = transport.data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429")
    assert b"retry-after: 30\r\n" in head
    assert json.loads(raw)["error"]["type"] == "rate_limit_error"
    rig.clock.advance(30)
    client.data_received(rig.post())
    rig.loop.run()
    rig.loop.dialled[-1].protocol.data_received(kit.answer())
    assert b"HTTP/1.1 200" in transport.data


def test_the_limit_outlives_a_new_snapshot(make, kit):
    rig = make(1, rate=1)
    _, _, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    rig.snapshot(rig.grant)
    assert rig.ask()[1].data.startswith(b"HTTP/1.1 429")


@pytest.mark.parametrize(
    "fields", [{"revoked": True}, {"expires_us": Micros(1)}], ids=["revoked", "expired"]
)
def test_a_key_past_its_life_is_401(make, kit, fields):
    assert refusal(make(**fields), kit.body)[0] == 401


def test_a_key_without_the_scope_is_403(make, kit):
    assert refusal(make(scopes=("read",)), kit.body)[0] == 403


def test_a_revoked_key_is_refused_on_a_connection_that_knew_it(rig, kit):
    client, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    rig.snapshot()
    client.data_received(rig.post())
    assert b"HTTP/1.1 401" in transport.data


def test_an_endpoint_that_starts_is_loading_with_a_time(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, state="starting"))
    status, error, head = refusal(rig, kit.body)
    assert (status, error["code"]) == (503, "loading")
    assert b"retry-after: " in head


@pytest.mark.parametrize("state", ["starting", "failed"])
def test_what_an_endpoint_cannot_do_is_not_said_before_it_is_known(make, kit, state):
    rig = make()
    rig.endpoints(rig.endpoint(1, state=state, capabilities=()))
    status, error, _ = refusal(rig, kit.body)
    assert (status, error["type"]) == (503, "api_error")


def test_an_endpoint_that_failed_says_why(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, state="failed", reason="out of memory"))
    status, error, _ = refusal(rig, kit.body)
    assert (status, error["code"]) == (503, "unavailable")
    assert "out of memory" in error["message"]


def test_a_need_nobody_meets_is_422(make, kit):
    rig = make()
    rig.endpoints(rig.endpoint(1, capabilities=("completions",)))
    assert refusal(rig, kit.body)[0] == 422


def test_without_a_free_slot_nothing_is_sent(make, kit):
    rig = make(1)
    while rig.worker.flights.take() >= 0:
        pass
    assert refusal(rig, kit.body)[1]["code"] == "overloaded"


def test_fields_that_were_dropped_are_named(rig, kit):
    body = kit.body[:-1] + b',"zz":1,"api_base":"http://127.0.0.1:9/"}'
    _, transport, engine = rig.ask(rig.post(body))
    assert b"api_base" not in engine.data
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-ignored: zz, api_base\r\n" in transport.data


def test_while_draining_answers_close_their_connection(rig, kit):
    _, transport, engine = rig.ask()
    rig.worker.draining = True
    engine.protocol.data_received(kit.answer())
    assert b"connection: close" in transport.data
    assert transport.closed


def test_cut_ends_what_has_not_begun_with_a_refusal(rig):
    client, transport, engine = rig.ask()
    client.cut(refuse(Unavailable, "stopping"))
    assert transport.data.startswith(b"HTTP/1.1 503")
    assert engine.closed
    assert rig.leaks() == (0, 0, 0)
