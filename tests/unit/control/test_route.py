"""The gate, policies at registration, and what every answer has in common."""

import base64
import re

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response

from littoral.control.operations import routes
from littoral.control.route import (
    Gate,
    Needs,
    Public,
    Route,
    Unguarded,
    build_app,
    refuse_unguarded,
)
from littoral.trust.role import SCOPE_OF


def every_route(site) -> list[Route]:
    return list(routes(site.control.desk))


def concrete(route: Route) -> str:
    path = route.path.removeprefix("/api/v1")
    return re.sub(r"\{(\w+)\}", lambda found: "Model" if found[1] == "kind" else "x", path)


def bad_keys(site) -> dict[str, str]:
    site.clock.advance(1)
    expired = site.key("admin", expires_in_days=1)
    revoked = site.key("admin")
    site.call("DELETE", f"/keys/{revoked.split('-')[2]}")
    site.clock.advance(2 * 86_400)
    good = site.admin
    other = good[:-8] + ("A" if good[-8] != "A" else "B") + good[-7:]
    return {
        "none": "",
        "garbage": "hunter2",
        "malformed": "lit-sk-zzz",
        "wrong secret": other,
        "expired": expired,
        "revoked": revoked,
    }


def test_no_route_answers_a_bad_key(site):
    unexpected = []
    keys = bad_keys(site)
    for route in every_route(site):
        for what, key in keys.items():
            body = {} if route.takes else None
            answer = site.call(route.method, concrete(route), key=key, json=body)
            expected = {200} if isinstance(route.policy, Public) else {401}
            if answer.status_code not in expected:
                unexpected.append((route.method, route.path, what, answer.status_code))
    assert unexpected == []


def test_no_route_answers_a_key_without_its_scope(site):
    scopes = ("infer", "read", "write", "keys")
    keys = {scope: site.key(scope) for scope in scopes}
    unexpected = []
    for route in every_route(site):
        if not isinstance(route.policy, Needs):
            continue
        for scope, key in keys.items():
            body = {} if route.takes else None
            answer = site.call(route.method, concrete(route), key=key, json=body)
            allowed = scope == SCOPE_OF[route.policy.action]
            if (answer.status_code == 403) == allowed:
                unexpected.append((route.method, route.path, scope, answer.status_code))
    assert unexpected == []


def test_every_route_has_a_reviewed_policy(site):
    public = {
        (route.method, route.path)
        for route in every_route(site)
        if isinstance(route.policy, Public)
    }
    assert public == {("GET", "/api/v1/health"), ("GET", "/api/v1/openapi.json")}


def test_a_key_may_come_as_x_api_key(site):
    headers = {"x-api-key": site.admin}
    assert site.call("GET", "/status", key="", headers=headers).status_code == 200
    assert site.call("GET", "/status", headers=headers).status_code == 200
    assert site.call("GET", "/status", key="other", headers=headers).status_code == 400


def test_refusals_of_a_known_and_an_unknown_key_look_the_same(site):
    keys = bad_keys(site)
    messages = {
        what: site.call("GET", "/status", key=keys[what]).json()["error"]["message"]
        for what in ("garbage", "malformed", "wrong secret")
    }
    assert len(set(messages.values())) == 1


def gate_of(site) -> Gate:
    desk = site.control.desk
    return Gate(
        desk.keys,
        desk.workers,
        clock=site.clock,
        entropy=site.entropy,
        report=site.parts.report,
    )


async def nothing(call):
    del call
    return {}


def plain_route(**more) -> Route:
    given = {
        "method": "GET",
        "path": "/x",
        "handler": nothing,
        "policy": Public("a test"),
        "summary": "x",
        "gives": dict[str, str],
    }
    return Route(**(given | more))


def test_a_route_without_a_policy_cannot_be_made():
    with pytest.raises(TypeError, match="policy"):
        Route(method="GET", path="/x", handler=nothing, summary="x", gives=dict)


def test_a_route_whose_policy_is_none_stops_the_start(site):
    with pytest.raises(Unguarded, match="GET /x"):
        build_app([plain_route(policy=None)], gate_of(site))


def test_every_unguarded_path_is_named_at_start(site):
    app = build_app([plain_route()], gate_of(site))
    refuse_unguarded(app)
    inner = FastAPI()
    app.mount("/docs-tree", inner)
    app.add_route("/metrics", lambda _request: Response())
    with pytest.raises(Unguarded) as refused:
        refuse_unguarded(app)
    for path in ("/metrics", "/docs-tree/openapi.json", "/docs-tree/docs", "/docs-tree/redoc"):
        assert path in str(refused.value)
    assert "/x" not in str(refused.value)


def test_a_mounted_asgi_app_is_unguarded(site):
    app = build_app([plain_route()], gate_of(site))

    async def raw(scope, receive, send): ...

    app.mount("/raw", raw)
    with pytest.raises(Unguarded, match="/raw"):
        refuse_unguarded(app)


def test_an_included_router_and_a_websocket_are_unguarded(site):
    app = build_app([plain_route()], gate_of(site))

    app.add_api_websocket_route("/ws", nothing)
    app.add_api_route("/plain", nothing)
    router = APIRouter()
    router.add_api_route("/deep", nothing)
    app.include_router(router, prefix="/in")

    with pytest.raises(Unguarded, match="/in/deep, /plain, /ws"):
        refuse_unguarded(app)


def error_of(answer):
    body = answer.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code", "request_id"}
    assert answer.headers["x-request-id"] == body["error"]["request_id"]
    return body["error"]


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code", "kind"),
    [
        ("GET", "/nothing", {}, 404, "not_found", "invalid_request_error"),
        ("POST", "/status", {}, 405, "invalid_request", "invalid_request_error"),
        ("GET", "/status", {"key": ""}, 401, "invalid_api_key", "invalid_request_error"),
        ("POST", "/apply", {"content": b"{"}, 400, "invalid_request", "invalid_request_error"),
        ("POST", "/apply", {"json": {"x": 1}}, 400, "invalid_request", "invalid_request_error"),
        (
            "POST",
            "/apply",
            {"content": b"<x/>", "headers": {"content-type": "text/xml"}},
            415,
            "unsupported_media",
            "invalid_request_error",
        ),
        (
            "POST",
            "/apply",
            {"content": b" " * (4 * 1024 * 1024 + 1)},
            413,
            "too_large",
            "invalid_request_error",
        ),
        ("GET", "/nodes/", {}, 404, "not_found", "invalid_request_error"),
        ("GET", "/nodes/nd_none", {}, 404, "not_found", "invalid_request_error"),
        ("GET", "/nodes", {"params": {"x": "1"}}, 400, "invalid_request", "invalid_request_error"),
    ],
)
def test_every_error_has_the_one_shape(site, method, path, given, status, code, kind):
    answer = site.call(method, path, **given)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["type"]) == (status, code, kind)


def test_a_foreign_error_never_shows_its_text(site):
    def broken():
        raise RuntimeError("canary-7f3a at 0x7fff")

    site.obtainer.statuses = broken
    answer = site.call("GET", "/models")
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["type"]) == (500, "internal", "api_error")
    assert "canary" not in answer.text
    [(request_id, reported)] = site.reports
    assert request_id == error["request_id"]
    assert "canary-7f3a" in str(reported)


def test_a_request_id_from_the_gateway_is_kept_and_a_bad_one_replaced(site):
    kept = site.call("GET", "/health", key="", headers={"x-request-id": "req_abc"})
    assert kept.headers["x-request-id"] == "req_abc"
    other = site.call("GET", "/health", key="", headers={"x-request-id": "a b"})
    assert other.headers["x-request-id"].startswith("req_")


def test_the_openapi_document_lists_every_route_and_no_other(site):
    document = site.call("GET", "/openapi.json", key="").json()
    assert document["openapi"] == "3.1.0"
    listed = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert listed == {(route.method, route.path) for route in every_route(site)}
    text = str(document)
    for reference in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert reference in document["components"]["schemas"]


def test_no_answer_carries_a_secret(site, given):
    site.apply(given.MODEL, given.LOCAL, given.UPSTREAM, given.REMOTE)
    key = site.key("infer")
    site.join("x", endpoints=[given.endpoint("remote", credential="sk-canary-41")])
    wrong = given.document(
        "Upstream", "far", url="http://sk-canary-41@h", credential="sk-canary-41"
    )
    answers = [site.apply(given.UPSTREAM).text, site.apply(wrong | {"kind": "Nope"}).text]
    for route in every_route(site):
        if route.method == "GET":
            for kind in ("Upstream", "Model") if "{kind}" in route.path else ("",):
                path = concrete(route).replace("Model", kind).replace("/x", "/far", 1)
                answers.append(
                    site.call("GET", path if kind == "Upstream" else concrete(route)).text
                )
    pepper = site.control.desk.publisher.compile("x").pepper
    secrets = ["sk-canary-41", key.split("-")[3], base64.b64encode(pepper).decode(), pepper.hex()]
    assert [secret for secret in secrets for answer in answers if secret in answer] == []
    assert any('"***"' in answer for answer in answers)
