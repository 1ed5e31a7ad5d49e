"""Joining and renewal as control judges them."""

from dataclasses import replace

import pytest

from authorities import Cluster
from controls import Cloud
from littoral.control.attempts import MOST
from littoral.domain.enrolment import Invitation, JoinRequest, RenewRequest
from littoral.domain.errors import (
    InvalidInput,
    LimitReached,
    NotOurs,
    TokenUsed,
    Unavailable,
    WrongToken,
)
from littoral.domain.ids import NodeId
from littoral.domain.resource import Metadata, Resource
from littoral.domain.site import SiteSpec
from littoral.testing.entropy import SeededEntropy
from littoral.testing.failpoints import Crash
from littoral.trust import certificate as trust

DAY, HOME = 86_400, "198.51.100.7"


@pytest.fixture
def cloud():
    return Cloud().start()


def key_of(seed: int) -> str:
    return trust.make_key(SeededEntropy(seed).bytes(48))


def request_of(token: str, seed: int = 5, **more) -> JoinRequest:
    return JoinRequest(token=token, csr=trust.request(key_of(seed)), name="edge", **more)


def join(cloud, token: str | None = None, seed: int = 5, **more):
    request = request_of(token or cloud.token(), seed, **more)
    answer, rows = cloud.control.desk.enrolments.join(request, address=HOME)
    for row in rows:
        cloud.control.desk.fleet.learn(row)
    return answer


def proof(cloud, answer, seed: int = 5, **changes):
    """A late renewal as the node with that key would ask for it."""
    nonce = cloud.control.desk.enrolments.challenge(answer.node).nonce
    csr = trust.request(key_of(seed))
    holder = trust.holder(answer.chain)
    signed = trust.prove(key_of(seed), holder=holder, nonce=bytes.fromhex(nonce), csr=csr)
    made = RenewRequest(chain=answer.chain, csr=csr, nonce=nonce, signature=signed.hex())
    return replace(made, **changes)


def late(cloud, answer, request):
    issued, rows = cloud.control.desk.enrolments.renew_late(answer.node, request)
    for row in rows:
        cloud.control.desk.fleet.learn(row)
    return issued


def test_a_token_makes_a_node_of_its_site_labels_and_tier(cloud):
    cloud.state.put(Resource(kind="Site", metadata=Metadata(name="harbour"), spec=SiteSpec()))
    answer = join(cloud, cloud.token(site="harbour", labels={"class": "small"}, tier="edge"))
    (node,) = cloud.control.desk.fleet.nodes()
    assert (node.id, node.site, node.tier, node.labels) == (
        answer.node,
        "harbour",
        "edge",
        {"class": "small"},
    )
    assert (node.state, node.enrolled.serials) == (
        "joined",
        (f"{trust.holder(answer.chain).life.serial:x}",),
    )
    assert answer.session_url == "wss://127.0.0.1:8445"
    assert cloud.events() == ["nodes.invited", "node.joined"]


def test_the_same_request_gets_the_same_node_again(cloud):
    token = cloud.token()
    first, second = join(cloud, token), join(cloud, token)
    assert second == first
    assert len(cloud.control.desk.fleet.nodes()) == 1


def test_a_stolen_token_makes_no_second_machine_a_node(cloud):
    token = cloud.token()
    join(cloud, token)
    with pytest.raises(TokenUsed, match="nodes invite"):
        join(cloud, token, seed=6)
    assert len(cloud.control.desk.fleet.nodes()) == 1


def test_an_expired_token_is_refused_even_to_who_used_it(cloud):
    used, unused = cloud.token(), cloud.token()
    join(cloud, used)
    cloud.clock.advance(15 * 60 + 1)
    for token in (used, unused):
        with pytest.raises(WrongToken):
            join(cloud, token)


def test_a_token_with_a_wrong_secret_is_refused_as_an_unknown_one_is(cloud):
    token = cloud.token()
    head, _, secret = token.rpartition(".")
    wrong = f"{head}.{secret[::-1]}"
    unknown = token.replace(token.split(".")[2], "a" * 10)
    said = set()
    for bad in (wrong, unknown):
        with pytest.raises(WrongToken) as caught:
            join(cloud, bad)
        said.add(caught.value.message)
    assert len(said) == 1


def test_an_address_that_is_wrong_too_often_must_wait_a_minute(cloud):
    good = cloud.token()
    bad = good[:-3] + ("aaa" if good[-3:] != "aaa" else "bbb")
    for _ in range(MOST):
        with pytest.raises(WrongToken):
            join(cloud, bad)
    with pytest.raises(LimitReached) as caught:
        join(cloud, good)
    assert 0 < caught.value.retry_after_s <= 60
    request = request_of(good)
    cloud.control.desk.enrolments.join(request, address="203.0.113.9")
    cloud.clock.advance(60)
    assert join(cloud, good).node


def test_neighbours_of_one_ipv6_network_are_one_address(cloud):
    good = cloud.token()
    bad = good[:-3] + ("aaa" if good[-3:] != "aaa" else "bbb")
    enrolments = cloud.control.desk.enrolments
    for host in range(MOST):
        with pytest.raises(WrongToken):
            enrolments.join(request_of(bad), address=f"2001:db8::{host}")
    with pytest.raises(LimitReached):
        enrolments.join(request_of(good), address="2001:db8::ffff")
    assert enrolments.join(request_of(good), address="2001:db8:0:1::1")


def test_a_tampered_request_is_refused_and_the_token_stays_good(cloud):
    token = cloud.token()
    whole = trust.request(key_of(5))
    lines = whole.splitlines()
    lines[2] = lines[2][::-1]
    with pytest.raises(InvalidInput):
        cloud.control.desk.enrolments.join(
            JoinRequest(token=token, csr="\n".join(lines), name="edge"), address=HOME
        )
    assert join(cloud, token).node


def test_a_name_that_cannot_be_one_is_refused(cloud):
    token = cloud.token()
    with pytest.raises(InvalidInput, match="cannot name a node"):
        cloud.control.desk.enrolments.join(replace(request_of(token), name="Ö !"), address=HOME)


def test_a_name_that_is_taken_gets_a_number(cloud):
    names = [join(cloud, seed=seed).name for seed in (5, 6, 7)]
    assert names == ["edge", "edge-2", "edge-3"]


def test_a_crash_after_the_signature_leaves_a_node_that_the_same_request_finds(cloud):
    token = cloud.token()
    cloud.failpoints.arm("join.signed")
    with pytest.raises(Crash):
        join(cloud, token)
    cloud.failpoints.disarm("join.signed")
    cloud.start()
    answer = join(cloud, token)
    assert [node.id for node in cloud.control.desk.fleet.nodes()] == [answer.node]


def test_a_node_that_joins_anew_takes_its_own_place(cloud):
    old = join(cloud)
    token = cloud.token()
    csr = trust.request(key_of(6))
    nonce = token.split(".")[2].encode()
    signed = trust.prove(key_of(5), holder=trust.holder(old.chain), nonce=nonce, csr=csr)
    new = join(cloud, token, seed=6, former=old.chain, proof=signed.hex())
    states = {node.id: node for node in cloud.control.desk.fleet.nodes()}
    assert states[old.node].state == "replaced"
    assert states[old.node].enrolled.replaced_by == new.node
    assert new.name == "edge"
    with pytest.raises(NotOurs, match="replaced"):
        late(cloud, old, proof(cloud, old))


@pytest.mark.parametrize("forged", ["", "00", "zz"])
def test_nobody_takes_anothers_place_without_its_key(cloud, forged):
    old = join(cloud)
    join(cloud, seed=6, former=old.chain, proof=forged)
    assert {node.state for node in cloud.control.desk.fleet.nodes()} == {"joined"}


def test_a_machine_that_was_a_node_elsewhere_joins_as_any_other(cloud):
    chain, _ = Cluster(seed=8).node()
    assert join(cloud, former=chain, proof="00").node


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (Invitation(site="nowhere"), "site"),
        (Invitation(minutes=0), "minutes"),
        (Invitation(minutes=1441), "minutes"),
        (Invitation(labels={"Ö": "x"}), "labels.Ö"),
        (Invitation(labels={"a": "x" * 64}), "labels.a"),
    ],
)
def test_an_invitation_says_what_is_wrong_with_it(cloud, wanted, param):
    with pytest.raises(InvalidInput) as caught:
        cloud.control.desk.enrolments.invite(wanted)
    assert caught.value.param == param


def test_without_a_listener_nobody_is_invited(site):
    with pytest.raises(Unavailable, match="nodes_listen"):
        site.control.desk.enrolments.invite(Invitation())


def test_tokens_that_expired_long_ago_are_dropped(cloud):
    cloud.token()
    cloud.clock.advance(2 * 3600)
    cloud.token()
    assert len(cloud.state.values("ticket/")) == 1


def test_a_node_offline_for_weeks_gets_a_new_certificate_by_its_key(cloud):
    answer = join(cloud)
    cloud.clock.advance(29 * DAY)
    issued = late(cloud, answer, proof(cloud, answer))
    found = trust.verified(issued.chain, issued.ca, at_us=cloud.clock.wall())
    assert found.node == answer.node
    (node,) = cloud.control.desk.fleet.nodes()
    assert node.enrolled.serials[0] == f"{found.life.serial:x}"
    assert len(node.enrolled.serials) == 2


def test_after_the_sites_window_only_a_new_token_helps(cloud):
    answer = join(cloud)
    cloud.clock.advance(31 * DAY + 1)
    with pytest.raises(NotOurs, match="more than 30 days"):
        late(cloud, answer, proof(cloud, answer))


def test_a_sites_own_window_counts(cloud):
    spec = SiteSpec(offline_days=2)
    cloud.state.put(Resource(kind="Site", metadata=Metadata(name="default"), spec=spec))
    answer = join(cloud)
    cloud.clock.advance(3 * DAY + 1)
    with pytest.raises(NotOurs, match="more than 2 days"):
        late(cloud, answer, proof(cloud, answer))


def test_a_nonce_is_good_once(cloud):
    answer = join(cloud)
    asked = proof(cloud, answer)
    assert late(cloud, answer, asked).chain
    with pytest.raises(NotOurs, match="nonce"):
        late(cloud, answer, asked)


def test_an_old_nonce_and_anothers_nonce_are_refused(cloud):
    answer, other = join(cloud), join(cloud, seed=6)
    stale = proof(cloud, answer)
    cloud.clock.advance(61)
    anothers = proof(cloud, answer, nonce=cloud.control.desk.enrolments.challenge(other.node).nonce)
    for asked in (stale, anothers, replace(anothers, nonce="zz")):
        with pytest.raises(NotOurs, match="nonce"):
            late(cloud, answer, asked)


def test_the_certificate_alone_proves_nothing(cloud):
    answer = join(cloud)
    for asked in (
        proof(cloud, answer, signature="00"),
        proof(cloud, answer, signature="zz"),
        proof(cloud, answer, seed=6),
        proof(cloud, answer, csr=trust.request(key_of(6))),
    ):
        with pytest.raises(NotOurs, match="proof"):
            late(cloud, answer, asked)


def test_one_node_cannot_renew_another(cloud):
    one, other = join(cloud), join(cloud, seed=6)
    nonce = cloud.control.desk.enrolments.challenge(other.node).nonce
    csr = trust.request(key_of(5))
    holder = trust.holder(one.chain)
    signed = trust.prove(key_of(5), holder=holder, nonce=bytes.fromhex(nonce), csr=csr)
    asked = RenewRequest(chain=one.chain, csr=csr, nonce=nonce, signature=signed.hex())
    with pytest.raises(NotOurs, match="another node's"):
        late(cloud, other, asked)


def test_a_rogue_authoritys_certificate_is_refused(cloud):
    answer = join(cloud)
    rogue = Cluster(name=trust.cluster_of(cloud.control.desk.authority.bundle()), seed=9)
    chain, key = rogue.node(answer.node)
    nonce = cloud.control.desk.enrolments.challenge(answer.node).nonce
    csr = trust.request(key)
    signed = trust.prove(key, holder=trust.holder(chain), nonce=bytes.fromhex(nonce), csr=csr)
    asked = RenewRequest(chain=chain, csr=csr, nonce=nonce, signature=signed.hex())
    with pytest.raises(NotOurs, match="this cluster"):
        late(cloud, answer, asked)


def test_a_certificate_older_than_the_last_but_one_is_refused(cloud):
    answer = join(cloud)
    second = replace(answer, chain=late(cloud, answer, proof(cloud, answer)).chain)
    late(cloud, second, proof(cloud, second))
    with pytest.raises(NotOurs, match="last two"):
        late(cloud, answer, proof(cloud, answer))


def test_answers_that_are_lost_again_and_again_lock_no_node_out(cloud):
    answer = join(cloud)
    for _ in range(4):
        late(cloud, answer, proof(cloud, answer))


def test_a_crash_after_a_renewal_leaves_the_old_certificate_good(cloud):
    answer = join(cloud)
    cloud.failpoints.arm("renew.issued")
    with pytest.raises(Crash):
        late(cloud, answer, proof(cloud, answer))
    cloud.failpoints.disarm("renew.issued")
    cloud.start()
    assert late(cloud, answer, proof(cloud, answer)).chain


def test_who_is_no_node_gets_a_nonce_and_nothing_else(cloud):
    assert cloud.control.desk.enrolments.challenge("nd_nobody").nonce
    with pytest.raises(NotOurs, match="not a node"):
        cloud.control.desk.enrolments.renew(NodeId("nd_nobody"), trust.request(key_of(5)))
