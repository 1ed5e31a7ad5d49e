"""Virtual time."""

import anyio
import pytest

from littoral.testing.loop import Deadlock, LoopClock, simulate


def test_three_days_pass_without_waiting() -> None:
    async def main() -> float:
        clock = LoopClock()
        before, wall = clock.now(), clock.wall()
        await anyio.sleep(72 * 3600)
        assert clock.wall() - wall == pytest.approx(72 * 3600 * 1e6, abs=1)
        return clock.now() - before

    assert simulate(main) == pytest.approx(72 * 3600)


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
