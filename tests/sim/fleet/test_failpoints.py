"""Every failpoint is passed with a kill, an error and a delay; one never passed fails the suite."""

import re
from collections import Counter
from pathlib import Path

import pytest

from e2e import test_failpoints
from littoral.app.command.lab import WIRE
from littoral.domain.failpoint import NAMES
from littoral.lab.fleet import Plan, run_fleet
from littoral.lab.nemesis import CLOUD_PLACES, EDGE_PLACES
from unit.node import test_deferral_ends, test_delivery_failpoints, test_peer_failpoints

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).parents[3]

ACTS = ("kill", "error", "delay")
AROUND = {
    "session.hello": {"kill": 0.3},
    "session.resumed": {"reset": 1.0},
    "join.signed": {"revoke": 0.5},
}
"""What must happen beside it, so that a place is passed again and again."""
SELDOM = {"identity.written", "renew.issued"}
"""Passed when a certificate is renewed, twice a day: those fleets live for forty hours."""
ELSEWHERE = (
    *test_delivery_failpoints.NAMES,
    *test_peer_failpoints.NAMES,
    *test_deferral_ends.PLACES,
    *test_failpoints.NAMES,
)
"""Failpoints that a simulated fleet does not pass: those suites do the three acts at each of them,
and fail where one was not passed."""
AREAS = {"session", "outbox", "snapshot", "delivery", "enrolment"}
ROW = re.compile(r"^\| `(?P<name>[a-z.]+)` \| (?P<area>[a-z]+) \|", re.MULTILINE)


def test_every_failpoint_is_simulated_or_passed_in_a_suite_of_its_own():
    assert {*EDGE_PLACES, *CLOUD_PLACES, *ELSEWHERE} == set(NAMES)


def test_sessions_outbox_snapshots_delivery_and_enrolment_have_twenty_of_them():
    written = (ROOT / "docs/reference/failpoints.md").read_text(encoding="utf-8")
    areas = {match["name"]: match["area"] for match in ROW.finditer(written)}
    assert areas.keys() == set(NAMES)
    found = Counter(areas.values())
    assert sum(found[area] for area in AREAS) >= 20
    assert all(found[area] >= 2 for area in AREAS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [*EDGE_PLACES, *CLOUD_PLACES])
def test_whoever_is_hit_there_loses_and_doubles_nothing(name):
    seldom = name in SELDOM
    plan = Plan(
        seed=5,
        edges=2,
        hours=40.0 if seldom else 0.5,
        fault_s=900.0 if seldom else 20.0,
        request_s=900.0 if seldom else 60.0,
        change_s=7200.0 if seldom else 40.0,
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
