"""Requests that wait at an edge for a place: real processes, cut off, killed and started again."""

import json
from http.client import HTTPConnection

import pytest

from e2e.test_nodes import NO_ENGINE, Edge, chat, make_edge, works  # noqa: F401  a fixture

pytestmark = pytest.mark.timeout(90)


def ask(edge: Edge, method: str, path: str, body=None, **headers):
    """One request at the edge; returns status, headers and body."""
    connection = HTTPConnection("127.0.0.1", edge.port, timeout=30)
    try:
        sent = {"authorization": f"Bearer {edge.site.key}", "content-type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def defer(edge: Edge, path: str = "/v1/chat/completions", body=None, **headers):
    given = {"x_littoral_defer": "3600", **headers}
    return ask(edge, "POST", path, body or chat(), **given)


def shown(edge: Edge, name: str) -> dict:
    try:
        status, _, body = ask(edge, "GET", f"/v1/deferred/{name}")
    except OSError:
        return {}
    return json.loads(body) if status == 200 else {}


def booked(site, accepted) -> list[dict]:
    status, found = site.request("GET", f"/api/v1/requests/{accepted['request_id']}")
    return found["records"] if status == 200 else []


def alive(edge: Edge) -> bool:
    try:
        return ask(edge, "GET", "/readyz")[0] == 200
    except OSError:
        return False


def reconnect(edge: Edge) -> None:
    edge.folder.joinpath("run/session.sock").symlink_to(edge.site.data_dir / "run/session.sock")


@pytest.fixture
def lonely(make_site, make_edge) -> Edge:  # noqa: F811  a fixture
    """An edge that has a model from the cloud, and no way there since it was started again."""
    site = make_site()
    edge = make_edge(site, failpoints=NO_ENGINE)
    site.deploy("echo", engine="fake", model="echo")
    site.wait_for(lambda: works(edge.port, site.key), "the edge to know the cloud's engine")
    edge.cut_power()
    edge.cut_off()
    edge.start()
    site.wait_for(lambda: alive(edge), "the edge to start alone")
    return edge


def test_a_request_accepted_offline_survives_a_power_cut_and_is_answered_by_the_cloud(lonely):
    edge, site = lonely, lonely.site
    status, headers, body = defer(edge)
    accepted = json.loads(body)
    assert status == 202, body
    assert headers["location"] == f"/v1/deferred/{accepted['id']}"
    assert accepted["status"] == "queued"
    edge.cut_power()
    reconnect(edge)
    edge.start()
    name = accepted["id"]
    site.wait_for(lambda: shown(edge, name).get("status") == "completed", "an answer")
    status, headers, body = ask(edge, "GET", f"/v1/deferred/{name}/result")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["choices"][0]["message"]["content"]
    site.wait_for(lambda: bool(booked(site, accepted)), "its usage in the ledger")
    rows = booked(site, accepted)
    assert [row["status"] for row in rows] == ["ok"]
    assert rows[0]["tokens_out"] == json.loads(body)["usage"]["completion_tokens"]
