"""Trying again: spread out, longer each time, and with the reason told."""

from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged
from littoral.domain.link import LinkFacts
from littoral.domain.pipe import PipeClosed
from littoral.domain.ports import ChannelClosed, Shed
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.redial import FAR, NEAR, STEADY, Redial, code_of, is_shed, watch, why
from littoral.testing.chance import SeededChance
from littoral.testing.channel import channel_pair
from littoral.testing.loop import LoopClock, simulate
from littoral.testing.sink import ListSink

HOUR = Seconds(3600.0)


class Always:
    """Chance that gives the most."""

    def random(self) -> float:
        return 1.0


def waits(pace, count: int, *, longest_s: Seconds = HOUR) -> list[float]:
    redial = Redial(pace, Always())
    return [redial.after(0.0, shed=False, longest_s=longest_s) for _ in range(count)]


def test_far_tries_begin_within_five_seconds_and_end_at_a_minute():
    assert waits(FAR, 10) == [5, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_near_tries_come_soon():
    assert waits(NEAR, 6) == [0.5, 1, 2, 4, 5, 5]


def test_no_wait_is_longer_than_asked():
    assert max(waits(FAR, 10, longest_s=Seconds(3.0))) == 3


def test_a_steady_session_begins_the_waits_anew():
    redial = Redial(FAR, Always())
    for _ in range(9):
        redial.after(0.0, shed=False, longest_s=HOUR)
    assert redial.after(STEADY, shed=False, longest_s=HOUR) == 5
    assert redial.after(0.0, shed=False, longest_s=HOUR) == 5
    assert redial.after(0.0, shed=False, longest_s=HOUR) == 1


def test_who_is_turned_away_comes_back_within_the_spread():
    redial = Redial(FAR, Always())
    redial.spread_s = Seconds(150.0)
    assert redial.after(0.0, shed=True, longest_s=HOUR) == 150
    assert Redial(NEAR, Always()).after(0.0, shed=True, longest_s=HOUR) == 0.5


@given(st.integers(0, 100), st.integers(0, 40))
def test_every_wait_is_drawn_from_nothing_to_its_bound(seed, tries):
    redial = Redial(FAR, SeededChance(seed))
    for _ in range(tries):
        assert 0 <= redial.after(0.0, shed=False, longest_s=HOUR) <= FAR.longest_s


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (None, "the session ended"),
        (ExceptionGroup("g", [ExceptionGroup("h", [ChannelClosed("refused")])]), "refused"),
        (ExceptionGroup("g", [TimeoutError()]), "control does not answer"),
        (ExceptionGroup("g", [Damaged("broken")]), "broken"),
    ],
)
def test_the_first_cause_is_what_is_told(failure, said):
    assert why(failure) == said


def test_being_turned_away_is_found_at_any_depth():
    assert is_shed(ExceptionGroup("g", [ExceptionGroup("h", [Shed("full")])]))
    assert not is_shed(ExceptionGroup("g", [ChannelClosed("gone")]))
    assert not is_shed(None)


def facts(*, trouble: str = "", silent: float = 0.0) -> LinkFacts:
    zero = Seconds(0.0)
    return LinkFacts(
        silent_s=Seconds(silent),
        rtt_s=zero,
        least_s=zero,
        p90_s=zero,
        goodput=0.0,
        trouble=trouble,
    )


def test_people_are_told_once_when_a_link_breaks_and_once_when_it_is_back():
    async def main():
        board = Board(clock=LoopClock(), sink=ListSink(), report=lambda _pids: None)
        channel, _far = channel_pair()
        channel.facts = facts()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(watch, channel, board, LoopClock(), suspect_s=Seconds(12.0)))
            await anyio.sleep(7)
            channel.facts = facts(trouble="nobody listens")
            await anyio.sleep(20)
            channel.facts = facts(silent=13.0)
            await anyio.sleep(20)
            channel.facts = facts()
            await anyio.sleep(20)
            group.cancel_scope.cancel()
        await channel.close()
        await _far.close()
        return [(event.code, event.message) for event in board.take_events()]

    assert simulate(main) == [
        ("session_interrupted", "nobody listens"),
        ("session_resumed", "control is connected again after 40 s"),
    ]


def test_on_one_host_there_is_nothing_to_watch():
    async def main():
        board = Board(clock=LoopClock(), sink=ListSink(), report=lambda _pids: None)
        channel, far = channel_pair()
        await watch(channel, board, LoopClock(), suspect_s=Seconds(12.0))
        await channel.close()
        await far.close()
        return board.has_events

    assert simulate(main) is False


def test_the_code_of_an_end_is_what_control_gave_and_never_a_word_of_a_sentence():
    failure = ExceptionGroup("g", [PipeClosed("superseded", "a newer session")])
    assert code_of(failure) == "superseded"
    assert code_of(PipeClosed("lost", "no room for 'revoked'")) == "lost"
    assert code_of(ChannelClosed("it was revoked")) == code_of(None) == ""
