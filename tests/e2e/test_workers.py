"""Several gateways on one port: limits are exact over all of them, deaths included."""

import json
import os
import signal
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException

import pytest

WORKERS, CLIENTS = 4, 16
BODY = {"model": "echo", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}


class Crowd:
    """Clients that ask as often as they are told, each on connections of its own."""

    def __init__(self, site, key: str, *, body: dict | None = None) -> None:
        self.site, self.key, self.body = site, key, json.dumps(body or BODY)
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def ask(self) -> str:
        """One request on a new connection: its status and code, or ``lost``."""
        connection = HTTPConnection("127.0.0.1", self.site.port, timeout=30)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        try:
            connection.request("POST", "/v1/chat/completions", self.body, headers)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
        except (OSError, HTTPException, ValueError):
            return "lost"
        finally:
            connection.close()
        return "ok" if reply.status == 200 else answer["error"]["code"]

    def work(self, times: int) -> None:
        for _ in range(times):
            found = self.ask()
            with self.lock:
                self.seen[found] += 1

    def run(self, times: int) -> Counter[str]:
        """All clients, so many requests each; how each ended."""
        crew = [threading.Thread(target=self.work, args=(times,)) for _ in range(CLIENTS)]
        for each in crew:
            each.start()
        for each in crew:
            each.join()
        return self.seen


def make_key(site, **limits) -> str:
    body = {"name": "crowd", "scopes": ["infer"], "limits": limits}
    status, made = site.request("POST", "/api/v1/keys", body)
    assert status in {200, 201}, made
    return made["secret"]


def cost_of_one(site) -> tuple[float, float]:
    """What one request reserves and what it costs, from its prices and the fake engine's counts."""
    key = make_key(site, budget={"amount": 1000, "period": "total"})
    connection = HTTPConnection("127.0.0.1", site.port, timeout=30)
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(BODY), headers)
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return float(reply.headers["x-littoral-cost"])


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    from e2e.conftest import Site

    site = Site(
        tmp_path_factory.mktemp("workers"), environ={"LITTORAL_GATEWAY_WORKERS": str(WORKERS)}
    )
    site.start()
    try:
        site.deploy("echo", engine="fake", model="echo", price_in=1.0, price_out=2.0, slots=64)
        yield site
    finally:
        site.stop()


def test_each_gateway_takes_connections_and_is_named(busy):
    roles = [role for role in busy.processes() if role.startswith("gateway")]
    assert roles == [f"gateway:{n}" for n in range(WORKERS)]
    assert Crowd(busy, make_key(busy)).run(4) == {"ok": 4 * CLIENTS}


def test_not_one_request_more_and_none_less_than_a_minute_allows(busy):
    rate = 60
    began = time.monotonic()
    seen = Crowd(busy, make_key(busy, requests_per_minute=rate)).run(8)
    took = time.monotonic() - began
    assert seen["ok"] + seen["rate_limited"] == 8 * CLIENTS
    assert rate <= seen["ok"] <= rate + took * rate / 60
