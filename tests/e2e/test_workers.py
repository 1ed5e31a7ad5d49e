"""Several gateways on one port: limits are exact over all of them, deaths included."""

import json
import os
import signal
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException, IncompleteRead

import pytest

from e2e.conftest import Site

pytestmark = pytest.mark.timeout(120)
WORKERS, CLIENTS = 4, 16
BODY = {"model": "echo", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}

LONG = {"model": "slow", "messages": [{"role": "user", "content": "word " * 300}]}
USED = 2, 3
"""Tokens in and out that the engine counts of it."""


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


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    site = Site(
        tmp_path_factory.mktemp("workers"), environ={"LITTORAL_GATEWAY_WORKERS": str(WORKERS)}
    )
    site.start()
    try:
        site.deploy("echo", engine="fake", model="echo", slots=64)
        site.deploy("dear", engine="fake", model="echo", slots=64, price_in=1.0, price_out=2.0)
        site.deploy("slow", engine="fake", model="echo", slots=64, options={"tpot_ms": 30})
        yield site
    finally:
        site.stop()


def test_each_gateway_takes_connections_and_is_named(busy):
    roles = [role for role in busy.processes() if role.startswith("gateway")]
    assert sorted(roles) == [f"gateway:{n}" for n in range(WORKERS)]
    assert Crowd(busy, make_key(busy)).run(4) == {"ok": 4 * CLIENTS}


def test_not_one_request_more_and_none_less_than_a_minute_allows(busy):
    rate = 60
    began = time.monotonic()
    seen = Crowd(busy, make_key(busy, requests_per_minute=rate)).run(8)
    took = time.monotonic() - began
    assert set(seen) == {"ok", "rate_limited"}
    assert rate <= seen["ok"] <= rate + took * rate / 60


def test_a_budget_pays_for_exactly_as_many_requests_as_it_covers(busy):
    body = BODY | {"model": "dear"}
    most = len(json.dumps(body)) + 64 + 4 * 2
    used = USED[0] + 2 * USED[1]
    paid = 40
    amount = ((paid - 1) * used + most) / 1e6
    key = make_key(busy, budget={"amount": amount, "period": "total"})
    one = Crowd(busy, key, body=body)
    while one.ask() == "ok":
        one.seen["ok"] += 1
    assert one.seen["ok"] == paid
    crowd = Crowd(busy, make_key(busy, budget={"amount": amount, "period": "total"}), body=body)
    seen = crowd.run(6)
    assert set(seen) <= {"ok", "budget_exhausted"}
    while crowd.ask() == "ok":
        seen["ok"] += 1
    assert seen["ok"] == paid


def test_no_more_than_so_many_at_one_time_and_never_fewer(busy):
    body = BODY | LONG | {"max_tokens": 40}
    key = make_key(busy, concurrent=7)
    crowd = Crowd(busy, key, body=body)
    seen = crowd.run(1)
    assert seen == {"ok": 7, "rate_limited": CLIENTS - 7}
    assert crowd.ask() == "ok"


def test_killed_gateways_admit_nothing_twice_and_keep_nothing(busy):
    body = BODY | LONG | {"max_tokens": 8}
    rate = 90
    key = make_key(busy, requests_per_minute=rate, concurrent=12)
    crowd = Crowd(busy, key, body=body)
    done = threading.Event()
    killer = threading.Thread(target=kill_all, args=(busy, done))
    began = time.monotonic()
    killer.start()
    seen = crowd.run(12)
    done.set()
    killer.join()
    took = time.monotonic() - began
    assert set(seen) <= {"ok", "lost", "rate_limited", "unavailable"}
    assert seen["ok"] <= rate + took * rate / 60
    assert seen["ok"] + seen["lost"] >= rate
    free = Crowd(busy, make_key(busy, concurrent=12), body=body)
    busy.wait_for(lambda: free.ask() == "ok", "a gateway again")
    held = Crowd(busy, key, body=body)
    busy.wait_for(lambda: held.ask() == "ok", "the rate to flow back", timeout_s=10)


def kill_all(site, done: threading.Event) -> None:
    """Kill one gateway after the other, a few of them in the middle of requests."""
    for number in range(WORKERS):
        if done.wait(0.15):
            return
        site.kill(f"gateway:{number}")


def test_a_gateway_that_stops_is_replaced_and_its_connections_are_served(busy):
    pid = busy.processes()["gateway:0"]
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    busy.wait_for(lambda: busy.processes().get("gateway:0", pid) != pid, "another gateway")
    print(f"replaced after {time.monotonic() - began:.2f} s")
    assert Crowd(busy, make_key(busy)).run(2) == {"ok": 2 * CLIENTS}


def test_a_revoked_key_ends_streams_in_every_gateway(busy):
    body = BODY | LONG | {"max_tokens": 400, "stream": True}
    status, made = busy.request("POST", "/api/v1/keys", {"name": "gone", "scopes": ["infer"]})
    assert status in {200, 201}
    ends: list[float] = []
    opened = threading.Barrier(CLIENTS + 1)

    def read() -> None:
        with busy.open("POST", "/v1/chat/completions", body, key=made["secret"]) as reply:
            reply.readline()
            opened.wait(20)
            try:
                last = reply.read()
            except IncompleteRead as cut:
                last = cut.partial
        if b"revoked" in last:
            ends.append(time.monotonic())

    crew = [threading.Thread(target=read) for _ in range(CLIENTS)]
    for each in crew:
        each.start()
    opened.wait(20)
    began = time.monotonic()
    assert busy.request("DELETE", f"/api/v1/keys/{made['key']['id']}")[0] == 200
    for each in crew:
        each.join()
    assert len(ends) == CLIENTS
    print(f"open streams ended after {min(ends) - began:.3f} to {max(ends) - began:.3f} s")
    assert Crowd(busy, made["secret"]).run(1) == {"invalid_api_key": CLIENTS}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_rounds_of_kills_admit_exactly_what_a_budget_pays_for(busy):
    """Whatever dies, a total budget pays for its requests: none more, and none is left unpaid."""
    body = BODY | {"model": "dear"}
    most = len(json.dumps(body)) + 64 + 4 * 2
    used = USED[0] + 2 * USED[1]
    for number in range(50):
        paid = 60
        amount = ((paid - 1) * used + most) / 1e6
        status, made = busy.request(
            "POST",
            "/api/v1/keys",
            {
                "name": f"round{number}",
                "scopes": ["infer"],
                "limits": {"budget": {"amount": amount, "period": "total"}},
            },
        )
        assert status in {200, 201}
        crowd = Crowd(busy, made["secret"], body=body)
        victim = f"gateway:{number % WORKERS}"
        old = busy.processes()[victim]
        killer = threading.Timer(0.05 + 0.01 * (number % 20), busy.kill, (victim,))
        killer.start()
        crowd.run(5)
        killer.join()
        busy.wait_for(lambda old=old, v=victim: busy.processes().get(v, old) != old, victim)
        spent_out(crowd)
        key = made["key"]["id"]
        busy.wait_for(
            lambda key=key, amount=amount: cost_of(busy, key) + most / 1e6 > amount,
            f"round {number}: the ledger to show that the budget is used up",
        )
        assert cost_of(busy, key) <= amount + 1e-9, number


def cost_of(site, key: str) -> float:
    """What the ledger says that a key spent."""
    status, answer = site.request("GET", f"/api/v1/usage?by=key&key={key}")
    assert status == 200
    return sum(row["cost"] for row in answer["rows"])


def spent_out(crowd: Crowd) -> None:
    """Ask until the budget refuses; a gateway that is being replaced may lose a few."""
    while (found := crowd.ask()) != "budget_exhausted":
        crowd.seen[found] += 1
