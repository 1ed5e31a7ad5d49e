"""Newer and older builds understand each other: unknown is skipped, missing has a default."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import frozen
from littoral.app.codec import pack_body, unpack_body
from littoral.app.link.header import (
    Accept,
    Offer,
    acks,
    opening,
    read_accept,
    read_acks,
    read_offer,
    unwrap,
    wrap,
)
from littoral.domain.endpoint import Machine
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.lane import Parcel
from littoral.domain.session import LEAST_PROTOCOL, PROTOCOL, Beat, Goodbye, Hello, Welcome
from littoral.domain.units import Bytes, Micros, Seconds

OURS = {
    0: Hello(
        protocol=PROTOCOL,
        node=NodeId("nd_1"),
        name="here",
        boot="b",
        build="9",
        outbox="o",
        snapshot=(1, 2),
    ),
    1: Welcome(protocol=1, server_us=Micros(1), beat_s=Seconds(5.0), stored={}),
    17: Goodbye(code="drained"),
}


@pytest.mark.parametrize("number", frozen.READ)
def test_an_older_end_reads_what_this_build_sends(number):
    ours, body = pack_body(OURS[number])
    assert ours == number
    read = msgspec.msgpack.decode(body, type=frozen.READ[number])
    for name in read.__struct_fields__:
        told, meant = getattr(read, name), getattr(OURS[number], name)
        assert told == meant


@pytest.mark.parametrize("number", frozen.SENT)
def test_this_build_reads_what_an_older_end_sends(number):
    read = unpack_body(number, msgspec.msgpack.encode(frozen.SENT[number]))
    for name, value in frozen.SENT[number].items():
        told = getattr(read, name)
        assert (list(told) if isinstance(told, tuple) else told) == value


def test_an_older_node_that_names_no_oldest_protocol_speaks_the_first():
    hello = unpack_body(0, msgspec.msgpack.encode(frozen.HELLO))
    assert isinstance(hello, Hello)
    assert hello.least == LEAST_PROTOCOL


def test_fields_of_a_build_to_come_are_skipped():
    newer = frozen.BEAT | {"mood": "fine", "nested": {"deep": [1, 2, 3]}}
    assert unpack_body(2, msgspec.msgpack.encode(newer)) == Beat(number=7)


MACHINE = Machine(cores=2, memory=Bytes(8), memory_free=Bytes(4))
ENGINE = {"id": "e/0", "deployment": "e", "serves": "m", "engine": "fake", "state": "ready"}
SPEED = {
    "endpoint": "e/0", "tokens_in": 1, "tokens_out": 1, "streams": 1, "first_s": 0.1,
    "total_s": 0.2, "at_us": 5,
}  # fmt: skip


def beat(**status: object) -> Beat:
    """A beat as this build reads it, with these fields of a status."""
    plain = {"machine": msgspec.to_builtins(MACHINE), "snapshot": [1, 2], "outbox_depth": 3}
    body = msgspec.msgpack.encode({"number": 7, "status": {**plain, "endpoints": [], **status}})
    found = unpack_body(2, body)
    assert isinstance(found, Beat)
    assert found.number == 7
    return found


def test_a_beat_says_of_engines_and_speeds_what_this_build_knows():
    newer = {**ENGINE, "id": "x/0", "state": "hovering"}
    found = beat(endpoints=[newer, ENGINE], speeds=[{**SPEED, "first_s": "soon"}, SPEED]).status
    assert found is not None
    assert [each.id for each in found.endpoints] == ["e/0"]
    assert [each.endpoint for each in found.speeds] == ["e/0"]
    assert (found.outbox_depth, found.machine) == (3, MACHINE)


@pytest.mark.parametrize(
    "status", [{"machine": "quantum"}, {"endpoints": "none"}, {"snapshot": [1, 2, 3]}]
)
def test_a_beat_whose_status_cannot_be_read_is_a_sign_of_life_all_the_same(status):
    assert beat(**status).status is None


@pytest.mark.parametrize("body", [{"number": "seven"}, {"status": None}, {"status": 5}, []])
def test_what_has_no_number_is_no_beat(body):
    if body == {"status": 5}:
        body = {**body, "number": "seven"}
    with pytest.raises(Damaged):
        unpack_body(2, msgspec.msgpack.encode(body))


def test_a_type_of_a_build_to_come_is_none_of_ours():
    assert unpack_body(63, b"\x80") is None


PARCEL = Parcel(type=2, lane=1, stream=3, seq=4, flags=1, body=b"x")


def test_parcels_are_read_by_older_and_newer_builds():
    old = msgspec.msgpack.decode(wrap(PARCEL), type=frozen.Parcel)
    assert (old.type, old.lane, old.stream, old.seq, old.flags, old.body) == (2, 1, 3, 4, 1, b"x")
    assert unwrap(msgspec.msgpack.encode((2, 1, 3, 4, 1, b"x", "of a build to come"))) == PARCEL


def test_offers_and_their_answers_are_read_by_older_and_newer_builds():
    offer = Offer(session=b"s", seen=(1, 2, 3))
    accept = Accept(session=b"s", resumed=True, seen=(1, 2, 3), resume_s=60.0)
    body = unwrap(opening(offer)).body
    assert msgspec.msgpack.decode(body, type=frozen.Offer).seen == (1, 2, 3)
    body = unwrap(opening(accept)).body
    assert msgspec.msgpack.decode(body, type=frozen.Accept).resumed
    longer = msgspec.msgpack.encode((b"s", (1, 2, 3), "of a build to come"))
    assert read_offer(wrap(Parcel(type=56, lane=0, stream=0, seq=0, flags=0, body=longer))) == offer
    longer = msgspec.msgpack.encode((b"s", True, (1, 2, 3), 60.0, "of a build to come"))
    told = wrap(Parcel(type=57, lane=0, stream=0, seq=0, flags=0, body=longer))
    assert read_accept(told) == accept


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_damaged(data):
    for read in (unwrap, read_offer, read_accept, read_acks):
        with contextlib.suppress(Damaged):
            read(data)


@given(st.integers(0, 3), st.binary(max_size=200))
def test_any_body_is_a_frame_or_damaged(number, body):
    with contextlib.suppress(Damaged):
        unpack_body(number, body)


def test_acknowledgements_say_how_long_a_parcel_was_held_or_nothing():
    told = read_acks(unwrap(acks([(0, 5, 0.25), (1, 6, None)])).body)
    assert [(each.lane, each.seq, each.held_s) for each in told] == [(0, 5, 0.25), (1, 6, None)]
