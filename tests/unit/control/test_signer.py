"""The keys that sign snapshots: made once, sealed, announced before they count, and rotated."""

import pytest

from littoral.app.codec import unpack
from littoral.control.signer import ROTATE_AFTER_US, Signer
from littoral.control.vault import Vault
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.session import Applied, PartPiece, PartsWanted
from littoral.domain.snapshot import Anchors
from littoral.domain.units import Seconds
from littoral.node.slot import Slots
from littoral.node.snapshot import HeldSnapshot, SnapshotParts
from littoral.testing.disk import MemoryDisk
from littoral.testing.failpoints import ArmedFailpoints

NODE = NodeId("nd_1")


def signer_of(site, master: bytes) -> Signer:
    vault = Vault(master, site.entropy)
    return Signer(site.state, vault, clock=site.clock, entropy=site.entropy)


def held_by(site) -> HeldSnapshot:
    """A node that met this control now."""
    desk = site.control.desk
    anchors = Anchors(cluster=desk.site.cluster, site="default", signers=desk.signer.keys.publics)
    return HeldSnapshot(
        SnapshotParts(
            node=NODE,
            anchors=lambda: anchors,
            slots=Slots(MemoryDisk()),
            unpack=unpack,
            failpoints=ArmedFailpoints(),
            clock=site.clock,
            swapped=lambda _: None,
        )
    )


def give(site, held: HeldSnapshot) -> Applied:
    issued = site.control.desk.publisher.issue(NODE)
    answer = held.offer(issued.token)
    if isinstance(answer, PartsWanted):
        for digest in answer.digests:
            answer = held.piece(PartPiece(digest=digest, at=0, piece=issued.parts[digest]))
    assert isinstance(answer, Applied)
    return answer


def test_both_keys_live_through_a_restart_and_are_sealed(site, given):
    first = site.control.desk.signer.keys
    assert signer_of(site, given.MASTER).keys == first
    stored = b"".join(site.state.values("").values())
    assert first.present not in stored
    assert first.following not in stored
    with pytest.raises(Damaged):
        signer_of(site, bytes(32))


def test_a_value_that_is_no_keys_is_damage(site, given):
    vault = Vault(given.MASTER, site.entropy)
    site.state.put_value("site/signers", vault.seal(b"nonsense", "site/signers"))
    with pytest.raises(Damaged, match="signing keys"):
        signer_of(site, given.MASTER)


def test_a_rotation_signs_with_the_key_that_was_announced(site):
    held = held_by(site)
    assert give(site, held).ok
    before = site.call("GET", "/signers").json()
    answer = site.call("POST", "/signers/rotate")
    assert answer.status_code == 409
    assert "days" in answer.json()["error"]["message"]
    site.clock.advance(Seconds(ROTATE_AFTER_US / 1e6))
    after = site.call("POST", "/signers/rotate").json()
    assert after["present"] == before["next"]
    assert after["next"] not in before.values()
    assert give(site, held).ok
    assert set(held.snapshot.signers) == {after["present"], after["next"]}


def test_a_node_that_missed_two_rotations_is_told_whose_signature_it_is(site):
    held = held_by(site)
    for _ in range(2):
        assert site.call("POST", "/signers/rotate", params={"force": "true"}).status_code == 200
    assert "signed by" in give(site, held).reason
    assert site.call("POST", "/signers/rotate", params={"force": "yes"}).status_code == 400


def test_only_an_administrator_rotates(site):
    key = site.key("read", "write", "keys")
    assert site.call("GET", "/signers", key=key).status_code == 200
    assert site.call("POST", "/signers/rotate", key=key).status_code == 403


def test_the_same_snapshot_is_signed_alike_after_a_restart(site):
    before = site.control.desk.publisher.issue(NODE)
    site.clock.advance(Seconds(60.0))
    site.start()
    assert site.control.desk.publisher.issue(NODE) == before
