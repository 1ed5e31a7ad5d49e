"""What a node takes as its desired state, and what it still has after a crash."""

from dataclasses import replace

import msgspec
import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.ids import DeploymentName, KeyId, NodeId, ProjectId
from littoral.domain.limits import Limits
from littoral.domain.project import KeyGrant
from littoral.domain.session import Applied, PartPiece, PartsWanted
from littoral.domain.snapshot import Anchors, Snapshot
from littoral.domain.units import Micros
from littoral.node.slot import OLD, SIGNERS, Slots, path_of
from littoral.node.snapshot import HeldSnapshot, SnapshotParts, left_out
from littoral.testing.clock import SettableClock
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints, Crash
from littoral.testing.snapshot import Issuer
from littoral.trust.signature import key_id, public_of

NODE = NodeId("nd_me")
FIRST = Snapshot(
    epoch=1,
    version=5,
    issued_us=Micros(1),
    node=NODE,
    pepper=b"pepper",
    keys=(KeyGrant(id=KeyId("k"), mac=b"m", project=ProjectId("p"), scopes=("infer",)),),
    assignments=(),
)
SECOND = replace(FIRST, version=6, limits={"key:k": Limits(concurrent=1)})


class Holder:
    """A node's disk, and as many lives of its reader as a test wants."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        self.failpoints = ArmedFailpoints()
        self.clock = SettableClock()
        self.swapped: list[Snapshot] = []
        self.issuer = Issuer(pack)
        self.anchors: Anchors | None = self.issuer.anchors()
        self.held = self.begin()

    def begin(self, node: NodeId = NODE) -> HeldSnapshot:
        self.held = HeldSnapshot(
            SnapshotParts(
                node=node,
                anchors=lambda: self.anchors,
                slots=Slots(self.disk),
                unpack=unpack,
                failpoints=self.failpoints,
                clock=self.clock,
                swapped=self.swapped.append,
            )
        )
        return self.held

    def offer(self, snapshot: Snapshot, issuer: Issuer | None = None) -> Applied:
        """Offer a snapshot and supply what is asked for."""
        issuer = issuer or self.issuer
        answer = self.held.offer(issuer.issue(snapshot).token)
        if isinstance(answer, PartsWanted):
            answers = [self.held.piece(piece) for piece in issuer.pieces(answer)]
            assert answers[:-1] == [None] * (len(answers) - 1)
            answer = answers[-1]
        assert isinstance(answer, Applied)
        return answer

    def reloaded(self) -> tuple[int, int]:
        """The number with which the next life begins."""
        held = self.begin()
        assert held.load() == ()
        return held.number


@pytest.fixture
def holder() -> Holder:
    return Holder()


def test_a_newer_snapshot_is_kept_over_a_restart(holder) -> None:
    answer = holder.offer(FIRST)
    assert (answer.ok, answer.epoch, answer.version) == (True, 1, 5)
    assert holder.begin().number == (0, 0)
    assert holder.reloaded() == (1, 5)
    assert holder.swapped == [holder.issuer.named(FIRST)] * 2
    assert holder.disk.private[path_of("a")]


@pytest.mark.parametrize(("epoch", "version", "ok"), [(1, 4, False), (0, 9, False), (2, 1, True)])
def test_numbers_only_rise_and_an_epoch_outweighs_versions(holder, epoch, version, ok) -> None:
    holder.offer(FIRST)
    answer = holder.offer(replace(FIRST, epoch=epoch, version=version))
    assert answer.ok is ok
    assert ok or "older" in answer.reason


def test_an_old_snapshot_is_refused_after_a_restart_too(holder) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    assert holder.reloaded() == (1, 6)
    assert "older" in holder.offer(FIRST).reason


def test_the_same_snapshot_again_is_fine_and_costs_nothing(holder) -> None:
    holder.offer(FIRST)
    holder.disk.full = True
    assert holder.offer(FIRST).ok
    assert len(holder.swapped) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"node": NodeId("nd_other")}, "nd_other"),
        ({"cluster": "cl_other"}, "cl_other"),
        ({"site": "elsewhere"}, "elsewhere"),
    ],
)
def test_a_snapshot_for_somebody_else_is_refused(holder, change, said) -> None:
    answer = holder.offer(replace(FIRST, **change))
    assert not answer.ok
    assert said in answer.reason
    assert holder.disk.files == {}


def test_a_snapshot_of_a_stranger_is_refused(holder) -> None:
    stranger = Issuer(pack, seed=b"s" * 32)
    answer = holder.offer(FIRST, stranger)
    assert not answer.ok
    assert "signed by" in answer.reason


def test_a_changed_manifest_is_refused(holder) -> None:
    token = holder.issuer.issue(FIRST).token
    head, payload, signature = token.split(b".")
    forged = b".".join((head, payload[:-4] + b"AAAA", signature))
    assert "forged" in holder.held.offer(forged).reason
    assert not holder.held.offer(b"nonsense").ok


def test_a_node_without_a_cluster_takes_nothing(holder) -> None:
    holder.anchors = None
    assert not holder.offer(FIRST).ok
    assert holder.held.snapshot is None


def test_only_parts_that_are_missing_are_asked_for(holder) -> None:
    holder.offer(FIRST)
    before = len(holder.issuer.asked)
    holder.offer(SECOND)
    assert len(holder.issuer.asked) == before + 1
    assert holder.held.snapshot.limits == SECOND.limits
    assert holder.held.snapshot.keys == FIRST.keys


def test_a_bare_manifest_extends_the_life_without_any_part(holder) -> None:
    holder.offer(FIRST)
    before = len(holder.issuer.asked)
    assert holder.offer(replace(FIRST, version=6, not_after_us=Micros(99))).ok
    assert len(holder.issuer.asked) == before
    assert holder.reloaded() == (1, 6)
    assert holder.held.snapshot.not_after_us == 99


def test_parts_that_arrived_are_not_asked_for_again_in_the_next_offer(holder) -> None:
    wanted = holder.held.offer(holder.issuer.issue(FIRST).token)
    pieces = holder.issuer.pieces(wanted)
    for piece in pieces[:4]:
        holder.held.piece(piece)
    again = holder.held.offer(holder.issuer.issue(FIRST).token)
    assert set(again.digests) == set(wanted.digests[2:])


def test_bytes_that_are_not_the_part_are_never_taken(holder) -> None:
    wanted = holder.held.offer(holder.issuer.issue(FIRST).token)
    for digest in wanted.digests:
        size = len(holder.issuer.parts[digest])
        for piece in (
            PartPiece(digest=digest, at=3, piece=b"x"),
            PartPiece(digest=digest, at=0, piece=bytes(size + 1)),
            PartPiece(digest="other", at=0, piece=bytes(size)),
        ):
            assert holder.held.piece(piece) is None
        told = holder.held.piece(PartPiece(digest=digest, at=0, piece=bytes(size)))
        assert (told.ok, told.version) == (False, FIRST.version)
        assert "not what its manifest says" in told.reason
    assert holder.held.number == (0, 0)
    assert holder.offer(FIRST).ok
    assert holder.held.piece(PartPiece(digest="late", at=0, piece=b"")) is None


def test_a_full_disk_refuses_the_new_one_and_serves_the_old(holder) -> None:
    holder.offer(FIRST)
    holder.disk.full = True
    answer = holder.offer(SECOND)
    assert not answer.ok
    assert holder.held.number == (1, 5)
    holder.disk.full = False
    assert holder.offer(SECOND).ok


def test_dying_before_the_swap_leaves_the_new_one_on_disk(holder) -> None:
    holder.offer(FIRST)
    for failpoint, number in (("snapshot.part", 5), ("snapshot.renamed", 6)):
        holder.failpoints.arm(failpoint)
        with pytest.raises(Crash):
            holder.offer(SECOND)
        assert holder.reloaded() == (1, number)


@pytest.mark.parametrize("cut", [0, 3, 8, 20, 41, -1])
def test_with_one_slot_damaged_the_other_is_served(holder, cut) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    holder.disk.files[path_of("b")] = holder.disk.files[path_of("b")][:cut]
    held = holder.begin()
    (complaint,) = held.load()
    assert "slot b" in complaint
    assert held.number == (1, 5)
    assert holder.offer(SECOND).ok
    assert holder.reloaded() == (1, 6)


def test_with_both_slots_damaged_nothing_is_served_until_control_sends_one(holder) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    for name in ("a", "b"):
        data = bytearray(holder.disk.files[path_of(name)])
        data[-1] ^= 1
        holder.disk.files[path_of(name)] = bytes(data)
    held = holder.begin()
    assert len(held.load()) == 2
    assert held.snapshot is None
    assert holder.offer(SECOND).ok


def test_another_nodes_file_is_not_served(holder) -> None:
    holder.offer(FIRST)
    held = holder.begin(NodeId("nd_clone"))
    (complaint,) = held.load()
    assert "nd_clone" in complaint
    assert held.number == (0, 0)


def test_without_a_file_there_is_nothing_to_serve(holder) -> None:
    holder.disk.files[OLD] = b"of an earlier build"
    assert holder.reloaded() == (0, 0)
    assert holder.disk.files == {}


def test_an_announced_key_signs_later_and_a_retired_one_does_not(holder) -> None:
    following = Issuer(pack, seed=b"n" * 32)
    third = public_of(b"t" * 32)
    both = {**holder.issuer.signers, **following.signers}
    holder.offer(replace(FIRST, signers=both))
    after = {**following.signers, key_id(third): third}
    assert holder.offer(replace(SECOND, signers=after), following).ok
    assert "signed by" in holder.offer(replace(FIRST, version=7)).reason
    holder.begin().load()
    assert holder.held.number == (1, 6)
    assert "signed by" in holder.offer(replace(FIRST, version=7)).reason


def test_a_lost_list_of_signers_falls_back_to_whom_the_node_met_first(holder) -> None:
    holder.offer(FIRST)
    for nonsense in (b"{", b"[]", b'{"a": 1}', b'{"a": "zz"}'):
        holder.disk.files[SIGNERS] = nonsense
        assert holder.reloaded() == (1, 5)


def test_a_part_that_is_not_what_its_name_says_is_refused(holder) -> None:
    broken = replace(FIRST, assignments=(DeploymentName("no assignment"),))
    answer = holder.offer(broken)
    assert not answer.ok
    assert holder.disk.files == {}


def test_three_deaths_in_the_first_minute_bring_the_one_before_it_back(holder) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    for _ in range(2):
        holder.clock.advance(20.0)
        assert holder.held.died() == ""
    assert "(1, 5) is served again" in holder.held.died()
    assert holder.held.number == (1, 5)
    assert holder.swapped[-1] == holder.issuer.named(FIRST)
    assert holder.held.died() == ""
    for again in (SECOND, replace(SECOND, version=7)):
        assert "again and again" in holder.offer(again).reason
    (complaint,) = holder.begin().load()
    assert "again and again" in complaint
    assert holder.held.number == (1, 5)
    assert holder.offer(replace(SECOND, version=8, pepper=b"another")).ok


def test_later_deaths_are_not_the_snapshots_fault(holder) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    holder.clock.advance(61.0)
    assert [holder.held.died() for _ in range(4)] == [""] * 4
    assert holder.held.number == (1, 6)


def test_without_another_slot_the_one_there_is_is_kept(holder) -> None:
    assert holder.held.died() == ""
    holder.offer(FIRST)
    assert [holder.held.died() for _ in range(4)] == [""] * 4
    assert holder.held.number == (1, 5)
    holder.offer(SECOND)
    holder.disk.files[path_of("a")] = b"damaged"
    assert [holder.held.died() for _ in range(4)] == [""] * 4
    assert holder.held.number == (1, 6)


def test_a_revoked_key_is_revoked_at_once_and_in_both_slots_after_a_restart(holder) -> None:
    holder.offer(FIRST)
    holder.offer(SECOND)
    holder.held.revoke([KeyId("k"), KeyId("unknown")])
    assert [grant.revoked for grant in holder.swapped[-1].keys] == [True]
    holder.disk.files[path_of("b")] = b"damaged"
    holder.begin().load()
    assert holder.held.number == (1, 5)
    assert [grant.revoked for grant in holder.held.snapshot.keys] == [True]
    assert holder.offer(replace(SECOND, version=7)).ok
    assert [grant.revoked for grant in holder.held.snapshot.keys] == [True]


def test_a_key_revoked_on_a_full_disk_does_not_hold_either(holder) -> None:
    holder.held.revoke([KeyId("early")])
    holder.offer(FIRST)
    holder.disk.full = True
    holder.held.revoke([KeyId("k")])
    assert [grant.revoked for grant in holder.swapped[-1].keys] == [True]


def test_dying_after_a_revocation_keeps_it(holder) -> None:
    holder.offer(FIRST)
    holder.failpoints.arm("revoke.synced")
    with pytest.raises(Crash):
        holder.held.revoke([KeyId("k")])
    holder.begin().load()
    assert [grant.revoked for grant in holder.held.snapshot.keys] == [True]
    holder.disk.files["snapshot/revoked"] = b"\xff\xfe"
    holder.begin().load()
    assert [grant.revoked for grant in holder.held.snapshot.keys] == [False]


def test_what_this_build_cannot_read_is_left_out_counted_and_named(holder):
    def newer(frame) -> bytes:
        number, plain = msgspec.msgpack.decode(pack(frame))
        if "keys" in plain:
            plain["keys"][0]["scopes"] = ["dream"]
        return msgspec.msgpack.encode([number, plain])

    answer = holder.offer(FIRST, Issuer(newer))
    assert (answer.ok, answer.unread) == (True, 1)
    assert answer.reason == "this build cannot read, and leaves out: key k"
    assert holder.held.snapshot.keys == ()
    assert holder.reloaded() == (1, 5)
    assert left_out(["x"] * 7).endswith("x and 2 more")
