"""Every failpoint is passed with a kill, an error and a delay; one never passed fails the suite."""

from pathlib import Path

import pytest

from littoral.app.command.lab import WIRE
from littoral.domain.failpoint import NAMES
from littoral.lab.fleet import Plan, run_fleet
from littoral.lab.nemesis import CLOUD_PLACES, EDGE_PLACES

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[3]

ACTS = ("kill", "error", "delay")
AROUND = {
    "session.hello": {"kill": 0.3},
    "session.resumed": {"reset": 1.0},
    "join.signed": {"revoke": 0.5},
    "identity.written": {"clock": 0.7},
    "renew.issued": {"clock": 2.0},
}
"""What must happen beside it, so that a place is passed again and again."""
ELSEWHERE = {
    "request.admitted": "tests/e2e/test_failpoints.py",
    "request.settled": "tests/e2e/test_failpoints.py",
    "blob.renamed": "tests/e2e/test_failpoints.py",
    "chunk.synced": "tests/unit/node/test_delivery_failpoints.py",
    "slot.switched": "tests/unit/node/test_previous.py",
    "update.switched": "tests/unit/app/test_versions.py",
    "deferred.accepted": "tests/unit/node/test_deferral_ends.py",
    "deferred.started": "tests/unit/node/test_deferral_ends.py",
    "deferred.settled": "tests/unit/node/test_deferral_ends.py",
    "deferred.booked": "tests/unit/node/test_deferral_ends.py",
    "delta.verified": "tests/unit/node/test_delivery_failpoints.py",
}
"""Failpoints that a simulated fleet does not pass, and the suite that arms each."""


def test_every_failpoint_is_simulated_or_armed_in_a_real_process():
    assert sorted((*EDGE_PLACES, *CLOUD_PLACES, *ELSEWHERE)) == sorted(NAMES)
    for name, suite in ELSEWHERE.items():
        assert f'"{name}"' in (ROOT / suite).read_text(encoding="utf-8")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*EDGE_PLACES, *CLOUD_PLACES])
def test_whoever_is_hit_there_loses_and_doubles_nothing(name):
    plan = Plan(
        seed=5,
        edges=2,
        hours=0.5,
        fault_s=20.0,
        request_s=60.0,
        change_s=40.0,
        faults=AROUND.get(name, {})
        | {"failpoint" if name in EDGE_PLACES else "control-failpoint": 1.0}
        | {"reset": 0.2, "engine": 0.2},
        places=(name,),
        acts=ACTS,
    )
    outcome = run_fleet(plan, WIRE)
    unhit = [act for act in ACTS if not outcome.passes.get(f"{name}={act}")]
    assert unhit == [], "never hit: the suite proves nothing"
    assert outcome.wrong == (), "\n".join((*outcome.wrong, *outcome.last))
