"""Frames on the wire."""

import msgspec
import pytest

from littoral.app.codec import MAX_FRAME, pack, unpack
from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import Folded
from littoral.domain.errors import Damaged, TooLarge
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, NodeId, ProjectId
from littoral.domain.project import KeyGrant
from littoral.domain.session import FRAMES, Folds, Freed, Goodbye, Tables
from littoral.domain.snapshot import Snapshot
from littoral.domain.units import Micros, Seconds

SNAPSHOT = Snapshot(
    epoch=1,
    version=2,
    issued_us=Micros(3),
    node=NodeId("nd_a"),
    pepper=b"\x00\xff",
    keys=(KeyGrant(id=KeyId("k"), mac=b"\x01", project=ProjectId("p"), scopes=("infer",)),),
    assignments=(
        Assignment(
            name=DeploymentName("d"),
            revision=1,
            serves="d",
            engine="fake",
            model="m",
            options={"a": 1, "b": 0.5, "c": True, "d": "x"},
        ),
    ),
)
FOLDED = Folded(
    endpoint=EndpointId("d/0"), version=1, t0=Seconds(1.0), t_in=Seconds(0.1), t_step=Seconds(0.01)
)


@pytest.mark.parametrize(
    "frame", [Tables(snapshot=SNAPSHOT), Folds(folds=(FOLDED,)), Freed(slots=(1, 2))]
)
def test_a_frame_comes_back_equal(frame: Freed) -> None:
    assert unpack(pack(frame)) == frame


def test_every_frame_has_a_number_of_its_own() -> None:
    assert len(set(FRAMES.values())) == len(FRAMES)


def test_a_field_of_a_newer_version_is_skipped() -> None:
    data = msgspec.msgpack.encode([68, {"slots": [1], "later": "x"}])
    assert unpack(data) == Freed(slots=(1,))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode(7),
        msgspec.msgpack.encode([250, {}]),
        msgspec.msgpack.encode([68, {}]),
        msgspec.msgpack.encode([68, {"slots": ["1"]}]),
        msgspec.msgpack.encode([68, {"slots": [1]}, 1]),
        b"\x92\x44" + b"\x91" * 100_000,
        bytes(MAX_FRAME + 1),
    ],
)
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        unpack(data)


def test_a_frame_over_the_limit_is_not_sent() -> None:
    with pytest.raises(TooLarge, match="Goodbye"):
        pack(Goodbye(code="x" * MAX_FRAME))
