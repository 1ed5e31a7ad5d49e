"""Which requests are audited, and who may see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.audit import Standing
from littoral.domain.ids import DeploymentName
from littoral.domain.policy import Audits
from littoral.domain.reach import RESIDENCIES
from littoral.placement.filters import capability_mask, residence_mask
from littoral.placement.pairing import Seat, drawn, may_be, partner, picked, residence, seats_of

STANDING = Standing(
    policy="p", candidate=DeploymentName("near"), decided=True, cheap=0.15, dear=0.05
)
AUDITS = Audits(reference="far", candidate="near")
ALL = residence_mask(RESIDENCIES) | capability_mask(("chat",))


def test_what_is_drawn_is_the_same_for_one_id_and_spread_over_all():
    assert drawn(b"req_1") == drawn(b"req_1")
    found = [drawn(b"req_%d" % at) for at in range(4000)]
    assert sum(each < 0.15 for each in found) / 4000 == pytest.approx(0.15, abs=0.02)


def test_a_share_of_what_each_side_serves_is_picked():
    assert picked(STANDING, cheap=True, chance=0.149) == 0.15
    assert picked(STANDING, cheap=True, chance=0.15) is None
    assert picked(STANDING, cheap=False, chance=0.1) is None
    assert may_be(STANDING, 0.1)
    assert not may_be(STANDING, 0.2)
    assert not may_be(None, 0.0)


def test_each_of_a_pair_has_the_other_and_nobody_else_has_one():
    assert partner(AUDITS, "near") == "far"
    assert partner(AUDITS, "far.next") == "near"
    assert partner(AUDITS, "third") is None


def test_only_who_is_there_and_could_serve_the_request_may_see_it():
    seats = [
        Seat("far", ready=True, mask=ALL),
        Seat("far", ready=False, mask=ALL),
        Seat("far", ready=True, mask=capability_mask(("chat",))),
        Seat("far", ready=True, mask=ALL, barred=True),
        Seat("near", ready=True, mask=ALL),
    ]
    needs = residence_mask(("site",)) | capability_mask(("chat",))
    assert seats_of(seats, "far", needs=needs) == [0]


def test_a_judge_keeps_the_residency_and_not_what_the_engine_needed():
    needs = residence_mask(("site",)) | capability_mask(("chat", "tools"))
    assert residence(needs) == residence_mask(("site",))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["near", "far"]),
            st.booleans(),
            st.sets(st.sampled_from(RESIDENCIES)),
            st.booleans(),
        )
    ),
    st.sets(st.sampled_from(["site", "edge-only"]), min_size=1),
)
def test_nobody_outside_the_set_of_a_request_is_ever_given_it(places, wanted):
    seats = [
        Seat(name, ready, residence_mask(ways), barred) for name, ready, ways, barred in places
    ]
    for name in ("near", "far"):
        for at in seats_of(seats, name, needs=residence_mask(wanted)):
            assert wanted <= places[at][2]
            assert not places[at][3]
