"""Audits, from the gateway that asks twice to what people are told: real processes."""

import json
import subprocess
import sys

import pytest

from e2e.conftest import PACKAGES

pytestmark = pytest.mark.timeout(120)

POLICY = {
    "kind": "Policy",
    "metadata": {"name": "held"},
    "spec": {
        "match": {"models": ["m"]},
        "quality": {
            "ratings": {"edge": 0.1, "cloud": 0.9},
            "max_loss": 0.15,
            "audits": {"reference": "cloud", "candidate": "edge", "per_minute": 6000},
        },
    },
}
GOOD, BAD = "hello", "hello [[len=3]]"
"""What both deployments answer alike, and what the cheap one, which obeys directives, does not."""


@pytest.fixture
def audited(make_site):
    """A cheap deployment that obeys directives, and a dear one that does not, under one name."""
    site = make_site()
    edge = deployment("edge", options={"directives": True}, price_in=0.5, price_out=0.5)
    cloud = deployment("cloud", price_in=1.0, price_out=1.0)
    status, told = site.request("POST", "/api/v1/apply", {"documents": [edge, cloud, POLICY]})
    assert status == 200, told
    site.wait_for(lambda: site.serves("m"), "m to be served")
    return site


def deployment(name, **fields):
    spec = {"engine": "fake", "model": "echo", "serves": "m", **fields}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def key_of(site, tag):
    wanted = {"name": tag, "project": "default", "scopes": ["infer"], "models": ["*"], "tag": tag}
    status, made = site.request("POST", "/api/v1/keys", wanted)
    assert status in {200, 201}, made
    return made["secret"]


def ask(site, key, text):
    """Ask; returns the request's id and the endpoint that answered."""
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    with site.open("POST", "/v1/chat/completions", body, key=key) as reply:
        reply.read()
        assert reply.status == 200
        return reply.getheader("x-request-id"), reply.getheader("x-littoral-route")


def quality(site):
    status, found = site.request("GET", "/api/v1/quality")
    assert status == 200
    return found["items"][0]


def test_the_cheap_deployment_gets_the_tag_that_it_answers_as_well_and_not_the_other(audited):
    site = audited
    good, bad = key_of(site, "good"), key_of(site, "bad")
    site.wait_for(lambda: site.answers("/v1/models", key=bad), "the keys to be known")

    def decided():
        for _ in range(20):
            ask(site, good, GOOD)
            ask(site, bad, BAD)
        return quality(site)["decided"]

    site.wait_for(decided, "300 audits", timeout_s=90)

    def kept():
        near, far = ask(site, good, GOOD)[1], ask(site, bad, BAD)[1]
        return "/edge" in near and "/cloud" in far

    site.wait_for(kept, "audits to place the tags")
    found = {each["tag"]: each for each in quality(site)["tags"]}
    assert (found["good"]["allowed"], found["bad"]["allowed"]) == (True, False)
    assert found["bad"]["loss"] > 0.5 > found["good"]["loss"]
    request = ask(site, bad, BAD)[0]
    status, _ = site.request("POST", "/v1/votes", {"request": request, "score": 0}, key=bad)
    assert status == 200
    told = command(site, "placement", "quality", "--json")
    assert told["policies"][0]["audits"] >= 300
    assert told["policies"][0]["spent"] > 0
    _, sums = site.request("GET", "/api/v1/requests?limit=1000")
    audits = [each for each in sums["records"] if each["request"].startswith("aud_")]
    assert {each["tag"] for each in audits} >= {"good", "bad"}
    assert {each["deployment"] for each in audits} >= {"edge"}


def command(site, *words):
    done = subprocess.run(
        [sys.executable, "-m", "littoral", *words, "--data-dir", str(site.data_dir)],
        env={"PYTHONPATH": PACKAGES},
        capture_output=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout)
