import pytest

from littoral.gateway.wire.batch import Batch


class Turn:
    """A loop that keeps what is due in its next turn."""

    def __init__(self):
        self.due = []

    def call_soon(self, callback):
        self.due.append(callback)


class Line:
    """A transport that notes the order of all writes."""

    def __init__(self, name, log):
        self.name, self.log, self.closing = name, log, False

    def write(self, data):
        self.log.append((self.name, data))

    def is_closing(self):
        return self.closing


@pytest.fixture
def world():
    turn, log = Turn(), []
    return turn, log, Batch(turn), Line("a", log), Line("b", log)


def test_writes_wait_for_the_end_of_the_turn_and_keep_their_order(world):
    turn, log, batch, a, b = world
    batch.write(a, b"1")
    batch.write(b, b"2")
    batch.write(a, b"3")
    assert log == []
    assert len(turn.due) == 1
    turn.due.pop()()
    assert log == [("a", b"1"), ("b", b"2"), ("a", b"3")]


def test_a_flush_before_a_close_sends_what_waits_and_the_turn_finds_nothing(world):
    turn, log, batch, a, _ = world
    batch.write(a, b"last words")
    batch.flush()
    a.closing = True
    turn.due.pop()()
    assert log == [("a", b"last words")]


def test_a_connection_that_was_cut_is_not_written_to(world):
    turn, log, batch, a, b = world
    batch.write(a, b"gone")
    batch.write(b, b"here")
    a.closing = True
    turn.due.pop()()
    assert log == [("b", b"here")]


def test_the_next_turn_is_asked_for_again(world):
    turn, log, batch, a, _ = world
    batch.write(a, b"1")
    turn.due.pop()()
    batch.write(a, b"2")
    turn.due.pop()()
    assert log == [("a", b"1"), ("a", b"2")]
