"""One node a site pulls a blob over the line; the others get it from it, whatever happens to it."""

from littoral.control.pulls import LEASE_S, Pulls
from littoral.domain.ids import Digest, NodeId

BLOB = Digest("sha256:" + "a" * 64)
A, B, C = NodeId("nd_a"), NodeId("nd_b"), NodeId("nd_c")
SITES = {A: "here", B: "here", C: "there"}


def turn(pulls: Pulls, node: NodeId, now: float = 0.0, sites=SITES):
    return pulls.turn(BLOB, node, sites=sites, now=now)


def test_the_first_to_ask_pulls_and_the_next_gets_it_from_the_first():
    pulls = Pulls()
    assert turn(pulls, A).pulls
    pulls.held(A, address="https://a", digests=[BLOB])
    second = turn(pulls, B)
    assert not second.pulls
    assert second.peers == [(A, "https://a")]
    assert turn(pulls, A, 5.0).pulls


def test_each_site_has_its_own_puller():
    pulls = Pulls()
    pulls.held(A, address="https://a", digests=[BLOB])
    assert turn(pulls, A).pulls
    assert turn(pulls, C).pulls
    assert turn(pulls, C).peers == []


def test_a_puller_that_peers_cannot_reach_does_not_keep_them_waiting():
    pulls = Pulls()
    assert turn(pulls, A).pulls
    assert turn(pulls, B).pulls
    pulls.held(A, address="", digests=[BLOB])
    assert turn(pulls, B).pulls


def test_progress_renews_the_lease_and_standing_still_ends_it():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[BLOB])
    pulls.progress(BLOB, A, done=10, ended=False, now=20.0)
    assert not turn(pulls, B, 20.0 + LEASE_S).pulls
    pulls.progress(BLOB, A, done=10, ended=False, now=40.0)
    pulls.progress(BLOB, B, done=99, ended=False, now=50.0)
    assert turn(pulls, B, 21.0 + LEASE_S).peers == [(A, "https://a")]


def test_when_a_pull_stands_still_the_next_who_asks_pulls():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[])
    assert not turn(pulls, B, LEASE_S).pulls
    assert turn(pulls, B, LEASE_S + 1).pulls


def test_a_node_that_has_the_whole_blob_serves_everybody_and_nobody_pulls():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[BLOB])
    pulls.progress(BLOB, A, done=100, ended=True, now=1.0)
    assert not turn(pulls, B).pulls


def test_whole_blobs_are_asked_for_before_those_under_way():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[BLOB])
    pulls.held(C, address="https://c", digests=[BLOB])
    sites = {**SITES, C: "here"}
    assert [peer for peer, _ in turn(pulls, B, sites=sites).peers] == [C, A]


def test_a_node_that_leaves_is_asked_by_nobody_and_another_pulls():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[BLOB])
    pulls.left(A)
    found = turn(pulls, B)
    assert found.pulls
    assert found.peers == []


def test_a_puller_that_is_not_connected_any_more_is_followed():
    pulls = Pulls()
    turn(pulls, A)
    pulls.held(A, address="https://a", digests=[BLOB])
    assert turn(pulls, B, sites={B: "here"}).pulls
