"""What nodes learned becomes priors of the snapshot; what cannot be is refused by name."""

from dataclasses import replace

import pytest

from littoral.control.priors import EVERY_S, Priors, kept_priors
from littoral.control.worker import Bell, Workers
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.prior import PRIORS, Coefficients, Learned
from littoral.testing.clock import SettableClock
from littoral.testing.sink import ListSink
from littoral.testing.state import MemoryState

pytestmark = pytest.mark.anyio
GOOD = Learned(
    endpoint=EndpointId("chat@1"),
    state="ok",
    outcomes=100,
    kind="llama | cpu | 4 | tiny | w | 1",
    theta=(0.05, 0.001, 0.01, 0.002),
)


class Desk:
    """Priors over twins."""

    def __init__(self):
        self.state, self.clock, self.sink = MemoryState(), SettableClock(), ListSink()
        self.bell = Bell()
        self.start()

    def start(self):
        self.priors = Priors(
            self.state, self.clock, sink=self.sink, workers=Workers(), bell=self.bell
        )

    async def hear(self, name, *learned):
        await self.priors.heard(NodeId(name), Coefficients(learned=learned))
        self.clock.advance(EVERY_S)

    @property
    def kept(self):
        return kept_priors(self.state)


@pytest.fixture
def desk():
    return Desk()


async def test_what_is_proven_becomes_a_prior_and_rings_for_a_snapshot(desk):
    await desk.hear("nd_a", GOOD, replace(GOOD, endpoint=EndpointId("b@1"), state="cold"))
    (prior,) = desk.kept.values()
    assert (prior.nodes, prior.theta, prior.version) == (1, pytest.approx(GOOD.theta), 1)
    assert desk.bell.count == 1
    assert [view.learned.state for view in desk.priors.predictors()] == ["cold", "ok"]


async def test_priors_move_only_where_they_moved_enough(desk):
    await desk.hear("nd_a", GOOD)
    await desk.hear("nd_a", replace(GOOD, theta=(0.051, 0.001, 0.01, 0.002)))
    assert desk.bell.count == 1
    await desk.hear("nd_a", replace(GOOD, theta=(0.07, 0.001, 0.01, 0.002)))
    assert desk.bell.count == 2
    assert [each.version for each in desk.kept.values()] == [2]
    desk.start()
    await desk.hear("nd_b", replace(GOOD, kind="other"))
    assert sorted(each.version for each in desk.kept.values()) == [2, 3]


async def test_of_one_node_what_is_known_best_counts_once(desk):
    better = replace(GOOD, endpoint=EndpointId("b@1"), outcomes=500, theta=(0.1,) * 4)
    await desk.hear("nd_a", GOOD, better)
    (prior,) = desk.kept.values()
    assert (prior.nodes, prior.theta) == (1, pytest.approx((0.1,) * 4))


async def test_they_are_made_anew_once_a_minute_at_most(desk):
    await desk.priors.heard(NodeId("nd_a"), Coefficients(learned=(GOOD,)))
    await desk.priors.heard(NodeId("nd_b"), Coefficients(learned=(replace(GOOD, kind="o"),)))
    assert len(desk.kept) == 1


async def test_a_poisoned_value_is_refused_by_name_and_told_once(desk):
    poisoned = replace(GOOD, theta=(0.05, float("nan"), 0.01, 0.002))
    await desk.hear("nd_a", poisoned)
    await desk.hear("nd_a", poisoned)
    assert desk.kept == {}
    (event,) = desk.sink.events
    assert event.code == "node.coefficients_refused"
    assert "nd_a learned of chat@1 what cannot be: prefill_s is nan" in event.message
    await desk.hear("nd_a", GOOD)
    await desk.hear("nd_a", poisoned)
    assert len(desk.sink.events) == 2


async def test_what_a_node_said_that_is_none_any_more_counts_for_nobody(desk):
    await desk.hear("nd_a", GOOD)
    desk.priors.forget(NodeId("nd_a"))
    assert list(desk.priors.predictors()) == []
    await desk.hear("nd_b", replace(GOOD, theta=(0.1,) * 4))
    (prior,) = desk.kept.values()
    assert (prior.nodes, prior.theta) == (1, pytest.approx((0.1,) * 4))


async def test_of_too_many_priors_the_oldest_go(desk):
    kinds = [
        replace(GOOD, endpoint=EndpointId(f"e{n}"), kind=f"kind {n:04d}") for n in range(PRIORS)
    ]
    await desk.hear("nd_a", *kinds)
    await desk.hear("nd_b", replace(GOOD, kind="one more"))
    assert len(desk.kept) == PRIORS
    assert "one more" in desk.kept
    assert f"kind {PRIORS - 1:04d}" not in desk.kept


async def test_a_snapshot_has_the_priors(site):
    node = site.join()
    before = site.control.desk.publisher.compile(node)
    assert before.priors == {}
    await site.control.desk.priors.heard(node, Coefficients(learned=(GOOD,)))
    after = site.control.desk.publisher.compile(node)
    assert list(after.priors) == [GOOD.kind]
    assert after.version == before.version + 1
    told = (await site.ask("GET", "/predictors")).json()["items"]
    assert [(each["node"], each["learned"]["state"]) for each in told] == [(node, "ok")]
    lines = (await site.ask("GET", "/metrics")).text.splitlines()
    of = f'node="{node}",endpoint="chat@1"'
    assert f'littoral_predictor_state{{{of},state="ok"}} 1.0' in lines
    assert f'littoral_predictor_state{{{of},state="off"}} 0.0' in lines
    assert f"littoral_predictor_outcomes{{{of}}} 100.0" in lines
