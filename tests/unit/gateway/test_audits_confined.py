"""No failure and no change moves an audit, or its judge, outside the set of its request."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audited import JUDGED, Audited
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.reach import Spot
from littoral.domain.traffic import TrafficGrant

PLACES = st.lists(
    st.tuples(
        st.sampled_from(["near", "far", "sage"]),
        st.booleans(),
        st.sampled_from(["ready", "ready", "failed"]),
    ),
    max_size=5,
).map(lambda found: [*found, ("near", False, "ready"), ("far", False, "ready")])
"""The last two are here, so that there is something to compare."""
CHANGES = st.lists(st.sampled_from(["remote", "state", "project", "policy", "reply"]), max_size=4)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PLACES, CHANGES, st.sampled_from(["site", "edge-only"]), st.booleans())
def test_no_failure_and_no_change_moves_an_audit_or_its_judge_outside(
    make, kit, places, changes, residency, by_policy
):
    """Endpoints that are APIs outside have odd ports and are free: none is ever dialled."""
    audited = Audited(make(), kit)
    rig = audited.rig

    def endpoints(moved=0, turned=0):
        rig.endpoints(
            *(
                rig.endpoint(
                    2 * at + 101 if outside else 2 * at + 2,
                    id=EndpointId(f"e{at}.{moved}"),
                    deployment=DeploymentName(name),
                    serves="sage" if name == "sage" else "m",
                    remote=outside,
                    price_in=0.0,
                    price_out=0.0,
                    state="failed" if turned and at % 2 else state,
                )
                for at, (name, outside, state) in enumerate(
                    [(n, o != bool(moved and at % 2), s) for at, (n, o, s) in enumerate(places)]
                )
            )
        )

    def declare(residence):
        traffic = (
            () if by_policy else (TrafficGrant(project=rig.grant.project, residency=residence),)
        )
        audited.declare(
            JUDGED,
            traffic=traffic,
            spot=Spot(site="s", tier="edge"),
            **({"residency": residence} if by_policy else {}),
        )

    endpoints()
    declare(residency)
    rig.loop.dialled.clear()
    _, _, engine = rig.ask()
    for change in [*changes, "reply", "reply", "reply"]:
        match change:
            case "remote":
                endpoints(moved=1)
            case "state":
                endpoints(turned=1)
            case "project" | "policy":
                declare("site" if residency == "edge-only" else "edge-only")
            case _:
                for each in audited.waiting():
                    audited.reply(each, "A")
        assert not [each.port for each in rig.loop.dialled if each.port % 2]
    assert not rig.loop.errors
    assert engine is None or engine.port % 2 == 0
