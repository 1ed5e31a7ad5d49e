"""What nodes tell each other of their engines, and whom they dial."""

from dataclasses import replace

import pytest

from littoral.domain.endpoint import Address, Endpoint
from littoral.domain.ids import DeploymentName, EndpointId, NodeId
from littoral.domain.neighbour import may_meet, steady, ways_to
from littoral.domain.reach import HOME, Spot
from littoral.domain.stream import Via
from littoral.domain.units import Seconds

QUAY = Spot(site="quay", tier="edge")
OWN = Endpoint(
    id=EndpointId("e"),
    deployment=DeploymentName("d"),
    serves="m",
    engine="fake",
    state="ready",
    address=Address(host="127.0.0.1", port=9),
    credential="secret",
    engine_model="file.gguf",
)


@pytest.mark.parametrize(
    ("there", "address", "may"),
    [
        (QUAY, "192.168.1.4:1", True),
        (HOME, "192.168.1.4:1", False),
        (HOME, "8.8.8.8:1", True),
        (HOME, "[2001:4860:4860::8888]:1", True),
        (HOME, "[fd00::1]:1", False),
        (HOME, "cloud.example:1", False),
    ],
)
def test_on_another_site_only_an_address_that_means_the_same_everywhere_is_dialled(
    there, address, may
):
    assert may_meet(QUAY, there, address) is may


def test_others_see_a_way_and_neither_the_address_nor_the_secret():
    (seen,) = ways_to(
        NodeId("nd"), [OWN], path="peer", within=("any", "site"), rtt_s=Seconds(0.002)
    )
    assert (seen.address, seen.credential, seen.engine_model) == (None, None, "m")
    assert seen.remote
    assert seen.via == Via(
        node=NodeId("nd"),
        endpoint=EndpointId("e"),
        path="peer",
        rtt_s=0.002,
        within=("any", "site"),
    )


def test_each_path_to_one_engine_has_an_id_of_its_own():
    found = [
        each.id
        for path in ("relay", "peer")
        for each in ways_to(NodeId("nd"), [OWN], path=path, within=("any",))
    ]
    assert found == ["e@nd", "e@nd.peer"]


def test_what_leaves_for_an_api_outside_is_nowhere_of_ours():
    outside = replace(OWN, remote=True)
    (seen,) = ways_to(NodeId("nd"), [outside], path="peer", within=("any", "site"))
    assert seen.via.within == ("any",)


def test_failed_engines_and_those_of_third_nodes_are_not_passed_on():
    third = replace(OWN, via=Via(node=NodeId("x"), endpoint=EndpointId("e"), path="peer"))
    failed = replace(OWN, state="failed")
    assert list(ways_to(NodeId("nd"), [third, failed], path="relay", within=("any",))) == []


@pytest.mark.parametrize(
    ("told", "measured", "then"),
    [
        (0.0, 0.3, 0.3),
        (0.3, 0.35, 0.3),
        (0.3, 0.6123, 0.61),
        (0.0005, 0.0019, 0.0005),
        (0.3, 0.0, 0.0),
    ],
)
def test_a_round_trip_is_told_anew_only_where_it_is_another_one(told, measured, then):
    assert steady(told, measured) == then
