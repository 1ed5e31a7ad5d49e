"""What declared policies do to the choice of a place."""

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Folded
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.policy import Match, Policy, PolicySpec, Quality
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds
from littoral.gateway.choice import expect
from littoral.placement.decide import Verdict


def declare(rig, *policies: PolicySpec) -> None:
    """Serve from a snapshot with these policies."""
    rig.worker.source.take_snapshot(
        Snapshot(
            epoch=1,
            version=2,
            issued_us=Micros(1_000_000),
            node=NodeId("nd"),
            pepper=b"p" * 32,
            keys=(rig.grant,),
            assignments=(
                Assignment(
                    name=DeploymentName("m"), revision=1, serves="m", engine="fake", model="m"
                ),
            ),
            policies=tuple(Policy(name=f"p{at}", spec=each) for at, each in enumerate(policies)),
        ),
        {},
    )


def speed(rig, port: int, seconds: float, step_s: float = 1e-9) -> None:
    """An endpoint takes so long for any request, and for each token, with little doubt."""
    rig.worker.source.take_folds(
        [
            Folded(
                endpoint=EndpointId(f"e{port}"),
                version=1,
                t0=Seconds(seconds),
                t_in=Seconds(1e-9),
                t_step=Seconds(step_s),
                t_crowd=Seconds(seconds / 128),
                width=0.1,
                state="ok",
            )
        ]
    )


@pytest.fixture
def two(rig):
    """A cheap place that takes 3 s and a dear one that takes 1 s."""
    rig.endpoints(
        rig.endpoint(1, deployment=DeploymentName("near"), price_in=0.0, price_out=0.0),
        rig.endpoint(2, deployment=DeploymentName("far")),
    )
    speed(rig, 1, 3.0)
    speed(rig, 2, 1.0)
    return rig


def went(rig) -> int:
    rig.loop.dialled.clear()
    _, _, engine = rig.ask()
    return engine.port


def test_without_a_policy_the_cheapest_place_is_taken(two) -> None:
    assert went(two) == 1


def test_a_policys_deadline_chooses_the_faster_place_and_cuts_nobody_off(two) -> None:
    declare(two, PolicySpec(total_s=Seconds(2.0)))
    assert went(two) == 2
    two.clock.advance(5.0)
    two.loop.run()
    assert not two.loop.dialled[-1].closed


def test_a_policy_for_others_changes_nothing(two) -> None:
    declare(two, PolicySpec(total_s=Seconds(2.0), match=Match(projects=("other",))))
    assert went(two) == 1


def test_only_the_deployments_of_a_policy_are_asked(two) -> None:
    declare(two, PolicySpec(deployments=("far",)))
    assert went(two) == 2


def test_a_deployment_whose_answers_lose_too_much_is_not_asked(two) -> None:
    declare(two, PolicySpec(quality=Quality(ratings={"near": 0.5, "far": 0.9}, max_loss=0.1)))
    assert went(two) == 2
    declare(two, PolicySpec(quality=Quality(ratings={"near": 0.5, "far": 0.9}, max_loss=0.5)))
    assert went(two) == 1


def test_where_a_policy_allows_nobody_the_refusal_names_it(two, kit) -> None:
    declare(two, PolicySpec(deployments=("gone",)))
    _, transport, _ = two.ask()
    assert kit.status_of(transport) == 422
    assert "policy 'p0' allows no endpoint" in kit.body_of(transport)["error"]["message"]


def test_the_residency_of_a_policy_holds_beside_the_projects(two, kit) -> None:
    declare(two, PolicySpec(residency="edge-only"))
    _, transport, _ = two.ask()
    assert kit.status_of(transport) == 422
    assert "residency" in kit.body_of(transport)["error"]["message"]


def test_what_would_miss_anyway_is_refused_where_a_miss_has_a_price(two, kit) -> None:
    declare(two, PolicySpec(total_s=Seconds(0.2), miss_cost=1e-6, deployments=("far",)))
    _, transport, _ = two.ask()
    assert kit.status_of(transport) == 503
    assert "would be missed" in kit.body_of(transport)["error"]["message"]
    declare(two, PolicySpec(total_s=Seconds(0.2), deployments=("far",)))
    assert went(two) == 2


def test_the_harm_to_those_who_are_there_sends_the_next_one_elsewhere(two) -> None:
    speed(two, 1, 1.0)
    declare(two, PolicySpec(total_s=Seconds(2.0), miss_cost=1.0))
    near = next(place for place in two.worker.source.places() if place.endpoint.id == "e1")
    assert went(two) == 1
    assert len(near.under) == 1
    two.clock.advance(0.6)
    assert went(two) == 2
    assert near.row.harm == 0


def test_whoever_ends_is_no_longer_harmed(two, kit) -> None:
    declare(two, PolicySpec(total_s=Seconds(20.0), miss_cost="auto"))
    _, _, engine = two.ask()
    place = next(place for place in two.worker.source.places() if place.in_flight)
    assert list(place.under)
    engine.protocol.data_received(kit.answer())
    assert not place.under


def test_a_policys_deadline_is_not_put_off_by_a_try_that_failed(rig) -> None:
    rig.endpoints(*(rig.endpoint(n, price_in=n - 1.0, price_out=n - 1.0) for n in (1, 2, 3)))
    for port, seconds in ((1, 3.0), (2, 3.0), (3, 1.0)):
        speed(rig, port, seconds)
    declare(rig, PolicySpec(total_s=Seconds(4.0)))
    _, _, engine = rig.ask()
    rig.clock.advance(2.0)
    engine.protocol.connection_lost(None)
    rig.loop.run()
    assert [each.port for each in rig.loop.dialled] == [1, 3]


def test_doubt_about_the_length_counts_for_those_who_wait_as_well(two) -> None:
    speed(two, 1, 0.1, step_s=0.03)
    speed(two, 2, 0.1, step_s=0.01)
    model = two.worker.source.tables.models["m"]
    given = {"needs": 0, "tokens_in": 1, "tokens_out": 100, "total_s": 4.0}
    sure, unsure = expect(model, **given), expect(model, **given, length=1.0)
    assert isinstance(sure, Verdict)
    assert isinstance(unsure, Verdict)
    assert [model.places[each.position].endpoint.id for each in (sure, unsure)] == ["e1", "e2"]
