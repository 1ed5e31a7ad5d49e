"""The chain against events: arrivals one by one at a server that shares its speed."""

import math
from heapq import heappop, heappush

import pytest

from littoral.cost.capacity import size_edge, speeds
from littoral.cost.chain import chain, rates, tail
from littoral.domain.platform import Calibration, EdgeNode, Mix, Objective
from littoral.testing.chance import SeededChance

ARRIVALS = 40_000
WARM = 2_000


def play(lam, each, *, cs2, seed):
    """Mean seconds and all sojourns: works are log-normal with mean 1, ``each`` the total pace."""
    chance = SeededChance(seed)
    sigma = math.sqrt(math.log1p(cs2))

    def work():
        radius = math.sqrt(-2.0 * math.log(1.0 - chance.random()))
        z = radius * math.cos(2 * math.pi * chance.random())
        return math.exp(sigma * z - sigma * sigma / 2.0)

    slots, now, done = len(each), 0.0, 0.0  # done: work that each task in service has had
    serving: list[tuple[float, float]] = []  # (done at which it ends, came)
    queue: list[float] = []
    sojourns: list[float] = []
    arrival = -math.log(1.0 - chance.random()) / lam
    while len(sojourns) < ARRIVALS:
        pace = each[len(serving) - 1] / len(serving) if serving else 0.0
        ends = now + (serving[0][0] - done) / pace if serving else math.inf
        if arrival <= ends:
            done += (arrival - now) * pace
            now = arrival
            if len(serving) < slots:
                heappush(serving, (done + work(), now))
            else:
                queue.append(now)
            arrival = now - math.log(1.0 - chance.random()) / lam
        else:
            done = serving[0][0]
            now = ends
            sojourns.append(now - heappop(serving)[1])
            if queue:
                heappush(serving, (done + work(), queue.pop(0)))
    kept = sojourns[WARM:]
    return sum(kept) / len(kept), kept


@pytest.mark.parametrize(
    ("slots", "pen", "use"), [(1, 0.0, 0.7), (4, 0.25, 0.5), (4, 0.25, 0.8), (8, 1.0, 0.6)]
)
def test_works_without_memory_take_what_the_chain_says(slots, pen, use):
    each = rates(0.1, 0.9, pen=pen, slots=slots)
    lam = use * each[-1]
    means = [play(lam, each, cs2=1.0, seed=seed)[0] for seed in range(3)]
    assert chain(lam, each, cs2=1.0).sojourn_s == pytest.approx(sum(means) / 3, rel=0.06)


@pytest.mark.parametrize("use", [0.3, 0.6, 0.85])
def test_uneven_works_stay_within_a_tenth(use):
    each = rates(0.1, 0.9, pen=0.25, slots=4)
    lam = use * each[-1]
    played = [play(lam, each, cs2=1.5, seed=seed) for seed in range(3)]
    found = chain(lam, each, cs2=1.5)
    assert found.sojourn_s == pytest.approx(sum(mean for mean, _ in played) / 3, rel=0.10)
    limit = 3 * found.sojourn_s
    over = sum(each > limit for _, kept in played for each in kept) / (3 * (ARRIVALS - WARM))
    assert tail(found, limit, cs2=1.5) == pytest.approx(over, abs=0.05)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_at_a_share_of_the_predicted_capacity_the_sojourn_is_as_predicted(share):
    engine = Calibration(prefill_s=0.003, step_s=0.01, pen=0.5, slots=4)
    mix = Mix(rate=1.0, tokens_in=100, tokens_out=51)
    limit = Objective(total_s=4.0, target=0.95)
    most = size_edge(mix, [EdgeNode(calibration=engine)], limit).rate
    each = speeds(mix, engine)
    lam = share * most
    means = sorted(play(lam, each, cs2=1.0, seed=seed)[0] for seed in range(3))
    assert means[0] * 0.9 <= chain(lam, each).sojourn_s <= means[-1] * 1.1
