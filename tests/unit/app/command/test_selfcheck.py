from littoral.app.codec import pack
from littoral.domain.ids import NodeId
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros
from littoral.node.slot import Slots
from littoral.stores.disk import LocalDisk
from littoral.testing.snapshot import Issuer


def snapshot(version: int) -> Snapshot:
    return Snapshot(
        epoch=1,
        version=version,
        issued_us=Micros(1),
        node=NodeId("nd_me"),
        pepper=b"",
        keys=(),
        assignments=(),
    )


def test_a_folder_that_is_none_of_ours_is_told(call, tmp_path):
    said = call("node", "check", "--data-dir", str(tmp_path))
    assert said.status == 2
    assert "no data folder" in said.err


def test_a_folder_of_a_newer_layout_is_told(call, tmp_path):
    (tmp_path / "format").write_text("99")
    assert "newer version" in call("node", "check", "--data-dir", str(tmp_path)).err


def test_what_a_node_keeps_is_read(call, tmp_path):
    (tmp_path / "format").write_text("1")
    said = call("node", "check", "--data-dir", str(tmp_path), "--json")
    assert said.status == 0, said.err
    assert '"snapshots": 0' in said.out


def test_a_snapshot_is_read_and_one_that_cannot_be_is_told(call, tmp_path):
    (tmp_path / "format").write_text("1")
    slots, issuer = Slots(LocalDisk(str(tmp_path))), Issuer(pack)
    issued = issuer.issue(snapshot(1))
    slots.write("a", issued.token, issued.parts.values())
    slots.put_signers(issuer.signers)
    assert '"snapshots": 1' in call("node", "check", "--data-dir", str(tmp_path), "--json").out
    (tmp_path / "snapshot/b.snap").write_bytes(b"nonsense")
    assert call("node", "check", "--data-dir", str(tmp_path)).status == 0
    (tmp_path / "snapshot/a.snap").write_bytes(b"nonsense")
    said = call("node", "check", "--data-dir", str(tmp_path))
    assert said.status == 2
    assert "no snapshot here can be read" in said.err
