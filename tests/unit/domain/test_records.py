import inspect
from dataclasses import fields, is_dataclass
from typing import get_args

import pytest

from littoral.domain import (
    child,
    deployment,
    endpoint,
    failpoint,
    local,
    model,
    node,
    placement,
    ports,
    project,
    resource,
    session,
    snapshot,
    usage,
    view,
)
from littoral.domain.failpoint import FailpointName
from littoral.domain.placement import Reason
from littoral.domain.resource import SPECS, Kind, Spec
from littoral.domain.session import FRAMES, Frame

MODULES = (
    deployment,
    endpoint,
    local,
    model,
    node,
    placement,
    project,
    resource,
    session,
    snapshot,
    usage,
    view,
)
RECORDS = [
    kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_records_are_frozen_slotted_and_built_by_name(record):
    assert record.__dataclass_params__.frozen
    assert "__slots__" in vars(record)
    assert all(field.kw_only for field in fields(record))


def test_every_frame_has_a_number():
    assert set(FRAMES.values()) == set(get_args(Frame))
    assert len(set(FRAMES.values())) == len(FRAMES)


def test_numbers_of_frames_are_part_of_the_wire():
    assert {number: frame.__name__ for number, frame in FRAMES.items()} | {
        0: "Hello",
        1: "Welcome",
        2: "Beat",
        8: "SnapshotOffer",
        9: "Applied",
        13: "Records",
        14: "Stored",
        17: "Goodbye",
        64: "Tables",
        65: "Endpoints",
        66: "Folds",
        67: "Settled",
        68: "Freed",
        69: "Pulse",
    } == {number: frame.__name__ for number, frame in FRAMES.items()}


def test_every_kind_has_a_spec():
    assert set(SPECS) == set(get_args(Kind))
    assert set(SPECS.values()) == set(get_args(Spec))


def test_failpoints_are_listed_once():
    assert get_args(FailpointName) == failpoint.NAMES
    assert len(set(failpoint.NAMES)) == len(failpoint.NAMES)


def test_reasons_keep_their_order():
    assert get_args(Reason)[:5] == ("residency", "capability", "context", "unready", "deadline")


PORTS = [
    kind
    for module in (ports, child)
    for kind in vars(module).values()
    if getattr(kind, "_is_protocol", False) and kind.__module__ == module.__name__
]


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_every_port_says_what_it_and_its_methods_do(port):
    assert inspect.getdoc(port)
    for name, member in vars(port).items():
        if not name.startswith("_"):
            assert inspect.getdoc(member), name
