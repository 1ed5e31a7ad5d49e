"""The gate: as many handshakes as are managed in three seconds, and no more."""

from littoral.app.link.gate import BUSY, FIRST, LEAST, QUEUE_S, Gate
from littoral.domain.units import Seconds


def filled(count: int) -> Gate:
    gate = Gate()
    for _ in range(count):
        assert gate.enter()
    return gate


def test_beyond_three_seconds_of_work_connections_are_turned_away():
    gate = filled(int(QUEUE_S * FIRST))
    assert not gate.enter()
    assert gate.shed == 1
    gate.leave(Seconds(1.0))
    assert gate.enter()


def test_what_a_long_queue_manages_is_measured():
    gate = filled(290)
    for number in range(200):
        gate.leave(Seconds(number / 25))
    assert 25 <= gate.rate < 30


def test_a_short_queue_says_nothing():
    gate = Gate()
    for number in range(1000):
        gate.enter()
        gate.leave(Seconds(number * 10.0))
    assert gate.rate == FIRST


def test_a_stall_does_not_close_the_gate():
    gate = filled(BUSY + 20)
    for number in range(10):
        gate.leave(Seconds(number * 100.0))
    assert gate.rate == LEAST
