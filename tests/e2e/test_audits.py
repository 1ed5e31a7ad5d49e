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
            "ratings": {"edge": 0.9, "cloud": 0.9},
            "max_loss": 0.02,
            "audits": {"reference": "cloud", "candidate": "edge"},
        },
    },
}


@pytest.fixture
def audited(make_site):
    """A cheap deployment that obeys directives, and a dear one that does not, under one name."""
    site = make_site()
    edge = deployment("edge", options={"directives": True})
    cloud = deployment("cloud", price_in=1.0, price_out=1.0)
    status, told = site.request("POST", "/api/v1/apply", {"documents": [edge, cloud, POLICY]})
    assert status == 200, told
    site.wait_for(lambda: site.serves("m"), "m to be served")
    return site


def deployment(name, **fields):
    spec = {"engine": "fake", "model": "echo", "serves": "m", **fields}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def ask(site, text):
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    status, _ = site.request("POST", "/v1/chat/completions", body)
    return status


def quality(site):
    status, found = site.request("GET", "/api/v1/quality")
    assert status == 200
    return found["items"][0]


def audits(site, text, want):
    """Ask until so many audits are known."""

    def enough():
        if quality(site)["audits"] >= want:
            return True
        return ask(site, text) != 200

    site.wait_for(enough, f"{want} audits", timeout_s=60)


def test_what_audits_find_reaches_control_the_snapshot_and_people(audited):
    site = audited
    audits(site, "hello [[len=3]]", 5)
    found = quality(site)
    assert found["loss"] > 0.5
    assert not found["decided"]
    command = [sys.executable, "-m", "littoral", "placement", "quality", "--json"]
    told = subprocess.run(
        [*command, "--data-dir", str(site.data_dir)],
        env={"PYTHONPATH": PACKAGES},
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert json.loads(told.stdout)["policies"][0]["audits"] >= 5
