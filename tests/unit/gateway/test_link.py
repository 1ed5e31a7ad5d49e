"""Frames between the gateway and its node, on a fake transport."""

import pytest

from littoral.app.codec import pack, unpack
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.domain.session import Endpoints, Folds, Freed, Leave, Pulse, Settled, Shelved
from littoral.domain.units import Seconds, Tokens
from littoral.gateway.wire.link import Link


class Linked:
    def __init__(self, rig, transport):
        self.events = []
        self.rig, self.transport = rig, transport
        self.link = Link(
            rig.worker,
            pack=pack,
            unpack=unpack,
            changed=lambda: self.events.append("changed"),
            lost=lambda: self.events.append("lost"),
        )
        self.link.connection_made(transport)

    def send(self, frame, *, piece=0):
        data = pack(frame)
        data = len(data).to_bytes(4, "big") + data
        for at in range(0, len(data), piece or len(data)):
            self.link.data_received(data[at : at + (piece or len(data))])

    def frames(self):
        data, self.transport.data = self.transport.data, b""
        found = []
        while data:
            end = 4 + int.from_bytes(data[:4], "big")
            found.append(unpack(data[4:end]))
            data = data[end:]
        return found


@pytest.fixture
def linked(rig):
    _, transport = rig.client()
    return Linked(rig, transport)


def test_settled_slots_are_reported_together_and_come_back_when_booked(linked, kit):
    rig = linked.rig
    for _ in range(2):
        rig.ask()
        busy = [t for t in rig.loop.dialled if t.protocol.owner is not None]
        busy[-1].protocol.data_received(kit.answer())
    ((_, report, arguments),) = [each for each in rig.loop.later if each[0] < 0.1]
    report(*arguments)
    (frame,) = linked.frames()
    assert isinstance(frame, Settled)
    assert len(frame.slots) == 2
    assert rig.worker.flights.idle == kit.slots - 2
    linked.send(Freed(slots=frame.slots), piece=1)
    assert rig.worker.flights.idle == kit.slots
    assert rig.records() == []


def test_a_pulse_carries_the_figures(linked):
    linked.link.pulse()
    (frame,) = linked.frames()
    assert isinstance(frame, Pulse)
    assert (frame.number, frame.in_flight) == (1, 0)


def test_folds_change_the_prediction_and_endpoints_who_is_asked(linked, kit):
    rig = linked.rig
    fold = Folded(
        endpoint=EndpointId("e1"),
        version=1,
        t0=Seconds(2.0),
        t_in=Seconds(0.0),
        t_step=Seconds(0.0),
        out_p50=Tokens(10),
    )
    linked.send(Folds(folds=(fold,)))
    _, transport, engine = rig.ask()
    engine.protocol.data_received(kit.answer())
    assert b"x-littoral-predicted-ms: 2000\r\n" in transport.data
    linked.send(Endpoints(endpoints=()))
    assert rig.ask()[1].data.startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("junk", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02\x00\x00"])
def test_damage_ends_the_link(linked, junk):
    linked.link.data_received(junk)
    assert linked.transport.closed


def test_the_end_of_the_link_is_told_once(linked):
    linked.link.connection_lost(None)
    assert linked.events == ["lost"]
    assert not linked.rig.worker.linked
    linked.link.pulse()


def test_an_answer_of_the_store_that_cannot_be_taken_does_not_end_the_link(linked):
    rig = linked.rig
    wrong = ValueError("no answer of ours")

    def fail(_answer):
        raise wrong

    number = rig.worker.shelf.ask(lambda n: Leave(number=n), fail)
    linked.send(Shelved(number=number))
    assert rig.loop.errors == [wrong]
    assert not linked.transport.closed
