"""Virtual time."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import anyio
import pytest

from littoral.testing.loop import Deadlock, LoopClock, later, leap, simulate


def test_three_days_pass_without_waiting() -> None:
    async def main() -> float:
        clock = LoopClock()
        before, wall = clock.now(), clock.wall()
        await anyio.sleep(72 * 3600)
        assert clock.wall() - wall == pytest.approx(72 * 3600 * 1e6, abs=1)
        return clock.now() - before

    assert simulate(main) == pytest.approx(72 * 3600)


def test_wall_clocks_go_ahead_while_all_is_suspended_and_no_timer_comes_sooner() -> None:
    async def main() -> None:
        clock = LoopClock()
        later(10.0, lambda: leap(93_600.0))
        before, wall = clock.now(), clock.wall()
        await anyio.sleep(60.0)
        assert clock.now() - before == pytest.approx(60.0)
        assert clock.wall() - wall == pytest.approx(93_660e6, abs=1)

    simulate(main)


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await anyio.sleep(seconds)
            woken.append(seconds)

        async with anyio.create_task_group() as group:
            for seconds in (3, 1, 2):
                group.start_soon(sleeper, seconds)
        return woken

    assert simulate(main) == [1, 2, 3]


def test_waiting_for_nothing_is_said_not_hung() -> None:
    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        simulate(main)


def test_running_for_ever_at_one_moment_is_said_not_hung() -> None:
    async def main() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(Deadlock, match="time stands still"):
        simulate(main)


class Interrupted(BaseException):
    """What a test's time limit raises, wherever the program is."""


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """Strikes now."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, frame)

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda: signal.raise_signal(signal.SIGALRM)
    assert signal.signal(signal.SIGALRM, before) is interrupt


def test_an_alarm_in_a_callback_ends_the_run(alarm: Callable[[], None]) -> None:
    async def main() -> None:
        later(1.0, alarm)
        await anyio.sleep(2)

    with pytest.raises(Interrupted):
        simulate(main)


def test_an_alarm_in_a_task_that_catches_everything_ends_the_run(alarm: Callable[[], None]) -> None:
    async def main() -> None:
        with contextlib.suppress(BaseException):
            alarm()
        await anyio.sleep(2)

    with pytest.raises(Interrupted):
        simulate(main)


def test_in_another_thread_there_are_no_alarms(alarm: Callable[[], None]) -> None:
    del alarm
    with ThreadPoolExecutor(1) as pool:
        pool.submit(simulate, lambda: anyio.sleep(2)).result()
