"""Where a request may be: every hop counts, and the narrower a rule the fewer ways it allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.reach import HOME, RESIDENCIES, Spot, allowed, within

EDGE = Spot(site="factory", tier="edge")
BESIDE = Spot(site="factory", tier="edge")
FAR = Spot(site="harbour", tier="edge")
SPOTS = st.builds(Spot, site=st.sampled_from("ab"), tier=st.sampled_from(["edge", "cloud"]))
WAYS = st.lists(SPOTS, min_size=1, max_size=3)


@pytest.mark.parametrize(
    ("origin", "hops", "expected"),
    [
        (EDGE, (EDGE,), {"any", "site", "edge-only"}),
        (EDGE, (BESIDE,), {"any", "site", "edge-only"}),
        (EDGE, (FAR,), {"any", "edge-only"}),
        (EDGE, (HOME, BESIDE), {"any"}),
        (EDGE, (HOME,), {"any"}),
        (HOME, (HOME,), {"any", "site"}),
        (HOME, (EDGE,), {"any"}),
    ],
)
def test_a_way_is_within_what_allows_its_every_hop(origin, hops, expected):
    assert set(within(origin, hops)) == expected


@given(st.sampled_from(RESIDENCIES), SPOTS, WAYS, SPOTS)
def test_a_further_hop_never_allows_more(residency, origin, hops, further):
    if allowed(residency, origin, [*hops, further]):
        assert allowed(residency, origin, hops)


@given(st.sampled_from(RESIDENCIES), SPOTS, WAYS)
def test_a_way_is_allowed_where_each_of_its_hops_is(residency, origin, hops):
    assert allowed(residency, origin, hops) == all(
        allowed(residency, origin, [hop]) for hop in hops
    )


@given(SPOTS, WAYS)
def test_what_may_not_leave_its_site_or_the_edge_never_does(origin, hops):
    ways = within(origin, hops)
    assert "any" in ways
    if "site" in ways:
        assert {hop.site for hop in hops} == {origin.site}
    if "edge-only" in ways:
        assert {hop.tier for hop in (origin, *hops)} == {"edge"}
