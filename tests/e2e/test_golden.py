"""Golden items, from a declared rollout to its verdict: real processes."""

import json

import pytest

pytestmark = pytest.mark.timeout(120)
ASKED = "hello [[len=3]]"
"""What a version that obeys directives answers otherwise than one that does not."""


def apply(site, items, **options):
    bounds = {"steps": [50, 100], "minutes": 0, "requests": 1000, "items": items}
    spec = {"engine": "fake", "model": "m", "max_tokens": 64, "options": options, "rollout": bounds}
    chat = {"kind": "Deployment", "metadata": {"name": "chat"}, "spec": spec}
    status, told = site.request("POST", "/api/v1/apply", {"documents": [chat]})
    assert status == 200, told


def rollout(site):
    return site.request("GET", "/api/v1/rollouts")[1]["items"][0]


def test_a_version_that_no_longer_knows_the_answers_is_undone_without_a_request(site):
    apply(site, [])
    site.wait_for(lambda: site.serves("chat"), "the deployment to be served")
    body = {"model": "chat", "messages": [{"role": "user", "content": ASKED}], "max_tokens": 64}
    with site.open("POST", "/v1/chat/completions", body) as reply:
        known = json.loads(reply.read())["choices"][0]["message"]["content"]
    assert rollout(site)["state"] == "settled"
    items = [{"prompt": ASKED, "expect": known, "max_tokens": 64}] * 12
    apply(site, items, directives=True)
    site.wait_for(lambda: rollout(site)["state"] == "undone", "the verdict")
    found = rollout(site)
    assert "quality: worse by 100.0 to 100.0 points" in found["why"]
    assert found["scored"] >= 10
    events = [each["event"] for each in site.request("GET", "/api/v1/events")[1]["items"]]
    assert "rollout_scoring" in {each["code"] for each in events}
