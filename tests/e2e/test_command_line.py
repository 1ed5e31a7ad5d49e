"""The command line against real processes, as a person uses it: words in, text and status out."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = str(Path(__file__).resolve().parents[2] / "src")


@pytest.fixture
def littoral(tmp_path):
    """Run the command line on a data folder of its own; whatever runs is stopped afterwards."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("LITTORAL_")}
    measured = ",".join(name for name in kept if name.startswith("COVERAGE_"))
    environ = kept | {"PYTHONPATH": PACKAGES, "LANG": "C.UTF-8"}
    environ |= {"LITTORAL_DATA_DIR": str(tmp_path / "data")}
    environ |= {"LITTORAL_PASS_ENVIRONMENT": measured} if measured else {}

    def run(*words, given=""):
        return subprocess.run(
            [sys.executable, "-m", "littoral", *words],
            env=environ,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("down")


@pytest.mark.timeout(120)
def test_from_nothing_to_an_answer_and_back(littoral, tmp_path):
    """One command starts, serves, asks and says how to go on; another one ends everything."""
    key_file = tmp_path / "data" / "admin.key"
    first = littoral("up", "-d", "--port", "0", "--model", "echo", "--engine", "fake")
    assert first.returncode == 0, first.stderr
    key = key_file.read_text().strip()
    assert first.stdout.count(key) == 1
    assert "echo: What is the capital" in first.stdout
    assert key_file.stat().st_mode & 0o777 == 0o600

    if shutil.which("curl"):
        line = next(line for line in first.stdout.splitlines() if "curl http" in line)
        printed = subprocess.run(
            ["/bin/sh", "-c", line[line.index("curl") :]],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(printed.stdout)["usage"]["completion_tokens"] > 0

    again = littoral("up", "-d", "--model", "echo", "--engine", "fake")
    assert again.returncode == 0, again.stderr
    assert "already running" in again.stderr
    assert key not in again.stdout + again.stderr

    status = littoral("status", "--json")
    told = json.loads(status.stdout)
    assert status.returncode == 0
    assert told["ready"] is True
    assert {"supervisor", "control", "node", "gateway"} <= {p["role"] for p in told["processes"]}
    assert told["deployments"][0]["phase"] == "ready"

    answer = littoral("chat", "echo", "--json", given="good morning")
    request = json.loads(answer.stdout)
    assert request["text"] == "echo: good morning"

    down = littoral("down")
    assert (down.returncode, littoral("status").returncode) == (0, 1)
    assert "Stopped" in down.stderr
    assert littoral("down").returncode == 0


@pytest.mark.timeout(120)
def test_keys_limit_what_their_holders_may_do(littoral):
    """A minted key calls models and nothing else, until it is revoked."""
    littoral("up", "-d", "--port", "0", "--model", "echo", "--engine", "fake")
    url = json.loads(littoral("status", "--json").stdout)["url"]
    key = littoral("keys", "create", "bob").stdout.strip()
    there = ("--url", url, "--key", key)
    assert littoral("chat", "echo", *there, given="hi").stdout == "echo: hi\n"
    refused = littoral("models", "list", *there)
    assert refused.returncode == 2
    assert "needs the scope 'read'" in refused.stderr
    assert littoral("keys", "revoke", "bob", "--yes").returncode == 0
    keys = json.loads(littoral("keys", "list", "--json").stdout)["keys"]
    assert [each["name"] for each in keys if each["revoked_us"]] == ["bob"]


@pytest.mark.timeout(120)
def test_a_start_that_is_refused_says_why_once(littoral, tmp_path):
    """The port is taken: one line, status 2, nothing left running."""
    littoral("up", "-d", "--port", "0")
    port = json.loads(littoral("status", "--json").stdout)["url"].rpartition(":")[2]
    for words in (["up"], ["up", "--detach"]):
        other = littoral(*words, "--port", port, "--data-dir", str(tmp_path / "other"))
        assert other.returncode == 2
        assert other.stderr.count("cannot listen") == 1
        assert "--port" in other.stderr
        assert littoral("status", "--data-dir", str(tmp_path / "other")).returncode == 1
