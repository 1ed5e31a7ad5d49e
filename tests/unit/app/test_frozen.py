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
from littoral.domain.errors import Damaged
from littoral.domain.ids import NodeId
from littoral.domain.lane import Parcel
from littoral.domain.session import LEAST_PROTOCOL, PROTOCOL, Beat, Goodbye, Hello, Welcome
from littoral.domain.units import Micros, Seconds

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
