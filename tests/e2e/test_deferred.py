"""Requests that wait at an edge for a place: real processes, cut off, killed and started again."""

import json
from dataclasses import replace
from http.client import HTTPConnection, HTTPException

import pytest

from e2e.test_nodes import NO_ENGINE, Edge, chat, killed, make_edge, works  # noqa: F401  a fixture

pytestmark = pytest.mark.timeout(90)


def ask(edge: Edge, method: str, path: str, body=None, **headers):
    """One request at the edge; returns status, headers and body.

    The listener is the test's own: while no gateway is there, a connection waits in its backlog.
    """
    connection = HTTPConnection("127.0.0.1", edge.port, timeout=5)
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
    except (OSError, HTTPException):
        return {}
    return json.loads(body) if status == 200 else {}


def booked(site, accepted) -> list[dict]:
    status, found = site.request("GET", f"/api/v1/requests/{accepted['request_id']}")
    return found["records"] if status == 200 else []


def alive(edge: Edge) -> bool:
    try:
        return ask(edge, "GET", "/readyz")[0] == 200
    except (OSError, HTTPException):
        return False


def reconnect(edge: Edge) -> None:
    edge.folder.joinpath("run/session.sock").symlink_to(edge.site.data_dir / "run/session.sock")


@pytest.fixture
def nodes(make_edge):  # noqa: F811  a fixture
    """Starts nodes of a site."""
    return make_edge


@pytest.fixture
def lonely(make_site, nodes) -> Edge:
    """An edge that has a model from the cloud, and no way there since it was started again."""
    site = make_site()
    edge = nodes(site, failpoints=NO_ENGINE)
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


PLACES = ("deferred.accepted", "deferred.started", "deferred.settled", "deferred.booked")


def kept(edge: Edge, token: str) -> dict:
    """Defer until it is told that it is kept: an idempotency key makes that once."""
    told: list[dict] = []

    def accepted() -> bool:
        edge.revive()
        try:
            status, _, body = defer(edge, idempotency_key=token, x_littoral_deadline_ms="1")
        except (OSError, HTTPException):
            return False
        if status == 202:
            told.append(json.loads(body))
        return bool(told)

    edge.site.wait_for(accepted, "the request to be kept")
    return told[0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("act", ["kill@1", "error@1", "delay:50"])
def test_a_node_hit_at_a_failpoint_loses_and_doubles_no_deferred_request(make_site, nodes, act):
    site = make_site()
    edge = nodes(site)
    site.deploy("echo", engine="fake", model="echo")
    for name in PLACES:
        edge.end()
        edge.settings = replace(edge.settings, failpoints=f"{name}={act}")
        edge.start()
        edge.settings = replace(edge.settings, failpoints="")  # of its next life
        site.wait_for(lambda: serves(edge), "the edge to serve")
        once = ends_once(edge, kept(edge, f"{name} {act}"))
        assert once["attempts"] == 1 + (name == "deferred.started" and act != "delay:50")


def serves(edge: Edge) -> bool:
    edge.revive()
    return alive(edge) and works(edge.port, edge.site.key)


def ends_once(edge: Edge, accepted: dict) -> dict:
    """Wait for its answer and its one record."""
    site, name = edge.site, accepted["id"]

    def completed() -> bool:
        edge.revive()
        return shown(edge, name).get("status") == "completed"

    def in_ledger() -> bool:
        edge.revive()  # it may die behind the answer
        return bool(booked(site, accepted))

    site.wait_for(completed, f"an answer to {name}")
    site.wait_for(in_ledger, "its usage in the ledger")
    assert [row["status"] for row in booked(site, accepted)] == ["ok"]
    return shown(edge, name)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("victim", ["node", "gateway"])
def test_whoever_is_killed_while_it_runs_it_is_answered_and_booked_once(make_site, nodes, victim):
    site = make_site()
    edge = nodes(site)
    site.deploy("echo", engine="fake", model="echo", options={"tpot_ms": 60.0})
    site.wait_for(lambda: works(edge.port, site.key), "the edge to serve")
    accepted = kept(edge, "one")
    site.wait_for(lambda: shown(edge, accepted["id"]).get("status") == "running", "a run")
    killed(site, edge, f"edge/{victim}")
    assert ends_once(edge, accepted)["attempts"] == 2
