"""Days of a fleet on virtual time: whatever is cut, killed or torn, the books are right.

Each run is the real node and the real control plane: sessions, snapshots, outbox, ledger, limits.
A run that fails is seen again with ``littoral lab fleet --seed N``.
"""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from littoral.app.command.lab import WIRE
from littoral.lab.fleet import Plan, run_fleet
from littoral.lab.nemesis import WEIGHTS

DAY = Plan(edges=6, hours=1.0)
FLEET = Plan(edges=20, hours=0.2, fault_s=30.0)
AHEAD = Plan(edges=5, hours=0.5, fault_s=120.0, faults={"leap": 1.0, "cut": 2.0})
TIGHT = Plan(
    edges=6,
    hours=1.5,
    request_s=20.0,
    fault_s=30.0,
    hourly=0.02,
    faults={"cut": 4.0, "kill": 0.5, "control": 0.3},
)
AGAIN = """
import sys
from littoral.app.command.lab import WIRE
from littoral.lab.fleet import Plan, run_fleet
print(run_fleet(Plan(seed=11, edges=4, hours=1.0), WIRE).digest)
"""


def holds(seed: int, plan: Plan) -> None:
    outcome = run_fleet(replace(plan, seed=seed), WIRE)
    assert outcome.wrong == (), "\n".join((*outcome.wrong, *outcome.last))
    assert outcome.converged_s is not None
    assert outcome.answered > plan.edges * plan.hours
    assert sum(outcome.faults.values()) > 10 * plan.hours


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(1, 21))
def test_a_fleet_full_of_faults_loses_and_doubles_nothing(seed):
    holds(seed, FLEET)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(1001, 1501))
def test_five_hundred_more_fleets_do_not_either(seed):
    holds(seed, replace(DAY, edges=20, hours=1.0))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [2001, 2002])
def test_a_whole_day_of_twenty_edges_does_not_either(seed):
    holds(seed, replace(DAY, edges=20, hours=24.0))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
def test_budgets_that_are_used_up_while_nodes_are_away_are_never_overrun(seed):
    outcome = run_fleet(replace(TIGHT, seed=seed), WIRE)
    assert outcome.wrong == (), "\n".join((*outcome.wrong, *outcome.last))
    assert outcome.sums > 100
    assert outcome.refused["limit"] > 100


@pytest.mark.timeout(120)
def test_every_kind_of_fault_happens():
    outcome = run_fleet(
        replace(DAY, edges=3, fault_s=20.0, faults=dict.fromkeys(WEIGHTS, 1.0)), WIRE
    )
    assert set(outcome.faults) == set(WEIGHTS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [1, 3, 5])
def test_every_edge_is_back_after_all_clocks_went_ahead(seed):
    holds(seed, AHEAD)


@pytest.mark.timeout(120)
def test_a_quiet_day_needs_one_life_of_each_process():
    outcome = run_fleet(replace(DAY, seed=1, faults={}), WIRE)
    assert (outcome.wrong, outcome.faults) == ((), {})
    assert outcome.lives == DAY.edges + 1
    late, strays = outcome.deferred["accepted"], outcome.calls["refused 421"]
    assert outcome.answered > 0
    assert outcome.answered + late + strays == outcome.requests
    assert outcome.deferred["completed"] == late
    assert strays == outcome.calls["careless"]


@pytest.mark.timeout(180)
def test_the_same_seed_gives_the_same_trace_in_every_process():
    digests = {
        subprocess.run(
            [sys.executable, "-c", AGAIN],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": str(number), "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for number in (1, 2)
    }
    assert len(digests) == 1


@pytest.mark.timeout(120)
def test_another_seed_gives_another_trace():
    plan = replace(DAY, edges=2, hours=1.0)
    digests = {run_fleet(replace(plan, seed=seed), WIRE).digest for seed in (1, 2)}
    assert len(digests) == 2
