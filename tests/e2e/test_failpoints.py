"""Failpoints of real processes: death, error and delay at each lose and double nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e import load
from littoral.app import versions
from littoral.app.system import SystemClock, SystemFailpoints
from littoral.stores.blobs import DiskBlobs

GATEWAY = ("request.admitted", "request.settled")
BLOB = "blob.renamed"
SWITCH = "update.switched"
NAMES = (*GATEWAY, BLOB, SWITCH)
ACTS = [("kill@1", -9), ("error@1", 1), ("delay:20", 0)]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", GATEWAY)
def test_a_gateway_hit_at_its_failpoints_loses_and_doubles_nothing(make_site, name):
    for act in ("kill@3", "error@3", "delay:20"):
        site = make_site(
            environ={"LITTORAL_FAILPOINTS": f"{name}={act}", "LITTORAL_RESTART_MAX_S": "0.1"}
        )
        site.deploy("steady", engine="fake", model="echo", options={"tpot_ms": 1})
        key = site.load_key()
        tally = load.run(site, key=key, requests=12, models=["steady"], threads=2, pause_s=0.02)
        rows = site.ledger()
        assert load.compare(tally, rows) == []
        assert tally.complete()
        site.stop()
        logs = (site.data_dir / "logs").glob("gateway*.log")
        said = "".join(log.read_text(errors="replace") for log in logs)
        assert f"failpoint {name}={act[:4]}" in said, "never hit: the suite proves nothing"


WRITER = """
import sys
from littoral.app.system import SystemClock, SystemFailpoints
from littoral.stores.blobs import DiskBlobs
blobs = DiskBlobs(sys.argv[1], clock=SystemClock(), failpoints=SystemFailpoints(sys.argv[2]))
writer = blobs.writer()
writer.write(b"weights")
writer.commit()
"""


def process(script: str, folder: Path, armed: str) -> int:
    """Run a script in a process of its own that must pass an armed place; its exit status."""
    command = [sys.executable, "-c", script, str(folder), armed]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
    name, _, act = armed.partition("=")
    assert f"failpoint {name}={act[:4]}" in done.stderr, "never hit: the suite proves nothing"
    return done.returncode


@pytest.mark.parametrize(("act", "status"), ACTS)
def test_an_artefact_hit_in_its_last_step_is_whole_and_can_be_written_again(tmp_path, act, status):
    assert process(WRITER, tmp_path, f"{BLOB}={act}") == status
    blobs = DiskBlobs(str(tmp_path), clock=SystemClock(), failpoints=SystemFailpoints())
    for digest in blobs.list():
        assert blobs.verify(digest)
    writer = blobs.writer()
    writer.write(b"weights")
    assert blobs.list() == [writer.commit()]


SWITCHER = """
import sys
from littoral.app.system import SystemFailpoints
from littoral.app.venv import VenvInstaller
VenvInstaller(sys.argv[1], SystemFailpoints(sys.argv[2])).switch("9.9.9", within_s=60.0)
"""
PROVES = """#!/bin/sh
rm {trial}
echo 9.9.9 >> {ran}
"""


@pytest.mark.parametrize(("act", "status"), ACTS)
def test_a_switch_hit_in_its_last_step_leads_to_the_new_version_on_trial(tmp_path, act, status):
    folder, ran = tmp_path / "versions", tmp_path / "ran"
    python = folder / "9.9.9/bin/python"
    python.parent.mkdir(parents=True)
    (folder / "9.9.9/littoral-whole").touch()
    python.write_text(PROVES.format(trial=folder / "trial.json", ran=ran))
    python.chmod(0o755)
    assert process(SWITCHER, tmp_path, f"{SWITCH}={act}") == status
    assert json.loads((folder / "trial.json").read_text())["version"] == "9.9.9"
    launched = subprocess.run(versions.launch_words(str(tmp_path), []), check=False, timeout=15)
    assert (launched.returncode, ran.read_text()) == (0, "9.9.9\n")
    assert versions.named_by(folder / "current") == "9.9.9"
