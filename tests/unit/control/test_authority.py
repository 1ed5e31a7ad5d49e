"""The cluster's own certificates: made once, rotated with an overlap."""

import pytest

from controls import Cloud
from littoral.domain.errors import Conflict, Damaged, InvalidInput
from littoral.domain.ids import NodeId
from littoral.trust import certificate as trust

DAY = 86_400
NODE = NodeId("nd_1")
CSR = trust.request(trust.make_key(b"k" * 48))


@pytest.fixture
def cloud():
    return Cloud().start()


def test_a_restart_finds_the_same_authority(cloud):
    before = cloud.control.desk.authority.bundle()
    cloud.start()
    assert cloud.control.desk.authority.bundle() == before


def test_keys_are_sealed_at_rest(cloud):
    cloud.control.desk.authority.issue(CSR, NODE)
    values = b"".join(cloud.state.values("ca/").values())
    assert b"PRIVATE" not in values


def test_a_moved_key_does_not_open(cloud):
    authority = cloud.control.desk.authority
    authority.issue(CSR, NODE)
    other = Cloud(seed=9).start()
    other.control.desk.authority.bundle()
    cloud.state.put_values({"ca/roots": other.state.value("ca/roots"), "ca/intermediate": None})
    changed = cloud.state.value("ca/roots").replace(b'"sealed":"TEUx', b'"sealed":"TEUy')
    cloud.state.put_value("ca/roots", changed)
    with pytest.raises(Damaged):
        authority.issue(CSR, NODE)


def test_the_intermediate_is_renewed_at_half_of_its_life(cloud):
    authority = cloud.control.desk.authority
    first = trust.split(authority.issue(CSR, NODE)[0])[1]
    cloud.clock.advance(44 * DAY)
    assert trust.split(authority.issue(CSR, NODE)[0])[1] == first
    cloud.clock.advance(2 * DAY)
    chain, _ = authority.issue(CSR, NODE)
    assert trust.split(chain)[1] != first
    assert trust.verified(chain, authority.bundle(), at_us=cloud.clock.wall()).node == NODE


def test_a_new_root_is_known_before_it_signs_and_the_old_one_after_it_did(cloud):
    authority = cloud.control.desk.authority
    old = authority.pin()
    old_chain, _ = authority.issue(CSR, NODE)
    assert [root.state for root in authority.rotate(30)] == ["signs", "announced"]
    assert authority.pin() == old
    chain, _ = authority.issue(CSR, NODE)
    assert trust.split(chain)[1] == trust.split(old_chain)[1]
    cloud.clock.advance(31 * DAY)
    assert authority.pin() != old
    assert [root.state for root in authority.show()] == ["trusted", "signs"]
    new_chain, _ = authority.issue(CSR, NODE)
    newest = trust.split(authority.bundle())[1]
    assert trust.verified(new_chain, newest, at_us=cloud.clock.wall()).node == NODE
    cloud.clock.advance(31 * DAY)
    assert [root.state for root in authority.show()] == ["signs"]


def test_two_roots_at_a_time_and_no_more(cloud):
    authority = cloud.control.desk.authority
    authority.rotate(2)
    with pytest.raises(Conflict, match="two roots"):
        authority.rotate(2)


@pytest.mark.parametrize("days", [1, 91])
def test_an_overlap_out_of_range_is_refused(cloud, days):
    with pytest.raises(InvalidInput, match="2 to 90"):
        cloud.control.desk.authority.rotate(days)


def test_a_certificate_of_control_carries_what_people_call(cloud):
    made = cloud.control.desk.authority.server(("cloud.example", "10.0.0.1"))
    assert len(trust.split(made.certificate)) == 2
    assert trust.pin(made.certificate) == trust.pin_of_key(made.key)


def test_a_token_names_the_root_that_signs(cloud):
    authority = cloud.control.desk.authority
    assert cloud.token().split(".")[1] == authority.pin()
