"""No sequence of failures moves a request outside the places it may be at."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Address, Endpoint, Folded
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.policy import Policy, PolicySpec
from littoral.domain.reach import Spot
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds, Tokens
from littoral.gateway.choice import choose, expect
from littoral.gateway.refusal import Refusal
from littoral.gateway.table import Source
from littoral.gateway.wanted import wanted_of
from littoral.placement.filters import residence_mask
from littoral.placement.policy import Asker

INSIDE, OUTSIDE = ("own", "other"), ("api", "rival")
"""Deployments of engines here, and of APIs elsewhere."""


def endpoint(at: int, deployment: str, state: str) -> Endpoint:
    return Endpoint(
        id=EndpointId(f"e{at}"),
        deployment=DeploymentName(deployment),
        serves="m",
        engine="fake",
        state=state,
        address=Address(host="127.0.0.1", port=at + 1),
        slots=2,
        context=Tokens(0),
        capabilities=("chat",),
        price_in=0.0 if deployment in OUTSIDE else 1.0,
        remote=deployment in OUTSIDE,
    )


def source_of(places, policies=()) -> Source:
    source = Source("here")
    node = NodeId("nd")
    source.take_snapshot(
        Snapshot(
            epoch=1,
            version=1,
            issued_us=Micros(1),
            node=node,
            pepper=b"",
            keys=(),
            assignments=(
                Assignment(
                    name=DeploymentName("m"), revision=1, serves="m", engine="fake", model="m"
                ),
            ),
            neighbours={node: Spot(site="s", tier="edge")},
            policies=policies,
        ),
        {},
    )
    source.take_endpoints([endpoint(at, *each) for at, each in enumerate(places)])
    return source


PLACES = st.lists(
    st.tuples(
        st.sampled_from(INSIDE + OUTSIDE),
        st.sampled_from(["ready", "degraded", "failed", "draining", "starting"]),
    ),
    min_size=1,
    max_size=6,
)
FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["load", "unload", "eject", "trial", "slow", "quick"]), st.integers(0, 5)
    ),
    max_size=12,
)
POLICIES = st.builds(
    PolicySpec,
    residency=st.sampled_from(["site", "edge-only"]),
    deployments=st.sampled_from([(), ("own",), ("own", "api"), ("api",)]),
    total_s=st.sampled_from([None, Seconds(0.01), Seconds(3.0)]),
    miss_cost=st.sampled_from([None, 1e-9, "auto"]),
)


def hurt(source: Source, kind: str, at: int) -> None:
    """One thing goes wrong at a place, or well again."""
    places = list(source.places())
    place = places[at % len(places)]
    match kind:
        case "load":
            place.enter()
        case "unload":
            place.leave()
        case "eject" | "trial":
            place.ejected, place.trial = kind == "eject", kind == "trial"
        case _:
            fold = Folded(
                endpoint=place.endpoint.id,
                version=1,
                t0=Seconds(60.0 if kind == "slow" else 0.01),
                t_in=Seconds(1e-6),
                t_step=Seconds(1e-6),
            )
            source.take_folds([fold])
    source.tables.models["m"].look()


@settings(max_examples=60)
@given(PLACES, FAULTS, POLICIES, st.integers(-1, 5), st.integers(0, 63))
def test_whatever_fails_a_request_stays_where_it_may_be(places, faults, spec, warm, aside):
    policy = Policy(name="p", spec=spec)
    wanted = wanted_of([policy], Asker("p", "k", "m"), {})
    source = source_of(places, (policy,))
    skip = 0
    for kind, at in [*faults, ("load", 0)]:
        hurt(source, kind, at)
        model = source.tables.models["m"]
        model.weigh(0.0)
        given = {"needs": 0, "tokens_in": 9, "tokens_out": 9, "total_s": 5.0, "wanted": wanted}
        found = choose(
            model,
            **given,
            skip=skip,
            warm=warm if warm < len(places) else -1,
            aside=aside & (1 << len(places)) - 1,
        )
        for verdict in (found, expect(model, **given)):
            if isinstance(verdict, Refusal):
                continue
            chosen = model.places[verdict.position].endpoint
            assert chosen.deployment in INSIDE
            assert not spec.deployments or chosen.deployment in spec.deployments
        if not isinstance(found, Refusal):
            skip |= 1 << found.position


@settings(max_examples=40)
@given(PLACES, FAULTS, st.sampled_from(["site", "edge-only"]))
def test_the_same_holds_for_the_residency_of_a_project(places, faults, residency):
    source = source_of(places)
    skip = 0
    for kind, at in [*faults, ("load", 0)]:
        hurt(source, kind, at)
        model = source.tables.models["m"]
        found = choose(
            model,
            needs=residence_mask((residency,)),
            tokens_in=9,
            tokens_out=9,
            total_s=5.0,
            skip=skip,
        )
        if not isinstance(found, Refusal):
            assert model.places[found.position].endpoint.deployment in INSIDE
            skip |= 1 << found.position


@pytest.mark.parametrize("status", ["500 Broken", "429 Busy", "nonsense", ""])
def test_a_request_whose_engine_fails_is_refused_before_it_leaves(rig, kit, status):
    """The engine here fails in each way; the API beside it, free and idle, is never dialled."""
    rig.endpoints(rig.endpoint(1), rig.endpoint(2, remote=True, price_in=0.0, price_out=0.0))
    rig.share(residency="site")
    for _ in range(12):
        rig.loop.dialled.clear()
        _, transport, engine = rig.ask()
        if engine is not None and status:
            broken = kit.answer(status=status, extra="Connection: close\r\n")
            engine.protocol.data_received(b"?" if status == "nonsense" else broken)
        if engine is not None:
            engine.protocol.connection_lost(None)
            rig.loop.run()
        assert {each.port for each in rig.loop.dialled} <= {1}
        assert kit.status_of(transport) >= 400
    assert not rig.loop.errors
