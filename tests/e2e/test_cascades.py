"""A tag and a cascade, from the declared policy to the ledger and what people are told."""

import json
import subprocess
import sys

import pytest

from e2e.conftest import PACKAGES

pytestmark = pytest.mark.timeout(120)
SURE = 0.905
"""What the fake engine is of every token: the exponential of -0.1."""


def deployment(name, **fields):
    spec = {"engine": "fake", "model": "echo", "serves": "m", **fields}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def policy(**cascade):
    stages = {"first": "edge", "then": "cloud"} | cascade
    spec = {"match": {"tags": ["extract"]}, "total_s": 600, "cascade": stages}
    return {"kind": "Policy", "metadata": {"name": "near-first"}, "spec": spec}


def apply(site, *documents):
    status, told = site.request("POST", "/api/v1/apply", {"documents": documents})
    assert status == 200, told


@pytest.fixture
def staged(make_site):
    """A cheap and a dear deployment under one name, and a key whose requests have a tag."""
    site = make_site()
    apply(site, deployment("edge"), deployment("cloud", price_in=1.0, price_out=1.0))
    site.wait_for(lambda: site.serves("m"), "m to be served")
    body = {"name": "app", "scopes": ["infer"], "tag": "extract"}
    status, made = site.request("POST", "/api/v1/keys", body)
    assert status == 201
    return site, made["secret"]


def ask(site, key, **fields):
    """The request's id, what its head says of the cascade, and its body."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    with site.open("POST", "/v1/chat/completions", body, key=key) as reply:
        told = reply.getheader("x-littoral-cascade", ""), reply.getheader("x-littoral-route")
        return reply.getheader("x-request-id"), told, reply.read()


def until(site, key, stage):
    """Ask until the policy is there that says so."""
    found = []

    def said():
        found[:] = ask(site, key)
        return found[1][0].startswith(stage)

    site.wait_for(said, f"an answer of stage {stage!r}")
    return found


def told(site, *words):
    command = [sys.executable, "-m", "littoral", *words, "--data-dir", str(site.data_dir)]
    done = subprocess.run(
        command, env={"PYTHONPATH": PACKAGES}, capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def test_a_second_answer_is_asked_for_where_the_first_is_not_sure_enough(staged):
    site, key = staged
    apply(site, policy(below=0.5))
    _, (stage, route), _ = until(site, key, "first")
    assert stage == "first"
    assert "/edge" in route
    assert ask(site, key, stream=True)[1][0] == ""
    assert ask(site, site.key)[1][0] == ""
    apply(site, policy(below=0.99))
    rid, (stage, route), body = until(site, key, "then")
    assert stage == f"then; confidence {SURE} below 0.99"
    assert "/cloud" in route
    assert route.endswith("; escalated")
    assert json.loads(body)["choices"][0].get("logprobs") is None
    records = booked(site, rid, 2)
    assert [each["deployment"] for each in records] == ["edge", "cloud"]
    assert {(each["tag"], each["status"]) for each in records} == {("extract", "ok")}
    explained = told(site, "route", "explain", rid)
    assert "; tag extract; policy near-first" in explained
    assert "another answer was not enough" in explained


def booked(site, rid, count):
    """The records of a request, once there are so many."""
    records = []

    def there():
        status, found = site.request("GET", f"/api/v1/requests/{rid}")
        records[:] = found["records"] if status == 200 else []
        return len(records) == count

    site.wait_for(there, f"{count} attempts to be booked")
    return records
