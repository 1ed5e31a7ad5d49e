"""Failpoints of real processes: death, error and delay at each lose and double nothing."""

import subprocess
import sys

import pytest

from e2e import load
from littoral.app.system import SystemClock, SystemFailpoints
from littoral.stores.blobs import DiskBlobs

NAMES = ("request.admitted", "request.settled")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", NAMES)
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


BLOB = "blob.renamed"
WRITER = """
import sys
from littoral.app.system import SystemClock, SystemFailpoints
from littoral.stores.blobs import DiskBlobs
blobs = DiskBlobs(sys.argv[1], clock=SystemClock(), failpoints=SystemFailpoints(sys.argv[2]))
writer = blobs.writer()
writer.write(b"weights")
writer.commit()
"""


@pytest.mark.parametrize(("act", "status"), [("kill@1", -9), ("error@1", 1), ("delay:20", 0)])
def test_an_artefact_hit_in_its_last_step_is_whole_and_can_be_written_again(tmp_path, act, status):
    armed = f"{BLOB}={act}"
    command = [sys.executable, "-c", WRITER, str(tmp_path), armed]
    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == status
    blobs = DiskBlobs(str(tmp_path), clock=SystemClock(), failpoints=SystemFailpoints())
    for digest in blobs.list():
        assert blobs.verify(digest)
    writer = blobs.writer()
    writer.write(b"weights")
    assert blobs.list() == [writer.commit()]
