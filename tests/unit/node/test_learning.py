"""Outcomes become coefficients."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.endpoint import Endpoint
from littoral.domain.flight import SETTLED, SLOT_BYTES, Flight, identity, read, write
from littoral.domain.ids import DeploymentName, EndpointId, KeyId
from littoral.domain.node import Speed
from littoral.domain.session import Folds
from littoral.domain.units import Micros, Seconds, Tokens
from littoral.domain.usage import UsageRecord
from littoral.node.learning import TAGS, Learning, outcome_of
from littoral.node.strain import Strains, unstrained
from littoral.testing.clock import SettableClock
from littoral.testing.loop import simulate

CHAT = EndpointId("chat@1")


def flown() -> UsageRecord:
    memory = bytearray(SLOT_BYTES)
    names = identity(("r", "p", "k", "m", "chat", CHAT))
    header = (1, 0, 0, 700, 0, 50, 1_000_000, 200_000, 900_000, 1_000_000, 2_000_000, 1.0, 2.0)
    write(memory, 0, state=SETTLED, header=header, names=names)
    flight = read(memory, 0)
    assert flight is not None
    return flight.record


RECORD = flown()


def flights(*records: UsageRecord, cap: int | None = None) -> list[Flight]:
    return [Flight(index=0, settled=True, record=each, cap=cap) for each in records]


def learns(around, read=unstrained) -> Learning:
    strains = Strains(SettableClock(), read)
    return Learning(around.board, open_now=list, strains=strains)


def folds(around) -> Folds:
    return next(frame for frame in around.board.frames() if isinstance(frame, Folds))


def serve(around, slots: int = 4, name: EndpointId = CHAT) -> None:
    endpoint = Endpoint(
        id=name,
        deployment=DeploymentName("chat"),
        serves="chat",
        engine="fake",
        state="ready",
        slots=slots,
    )
    around.board.put_endpoint(endpoint)


def test_what_was_served_beside_it_is_counted_at_its_admission() -> None:
    before = replace(RECORD, at_us=Micros(0), total_us=1_500_000)
    over = replace(RECORD, at_us=Micros(0), total_us=900_000)
    later = replace(RECORD, at_us=Micros(1_500_000))
    still_open = replace(RECORD, at_us=Micros(500_000), total_us=0)
    elsewhere = replace(before, endpoint=EndpointId("other@1"))
    beside = [before, over, later, still_open, elsewhere, RECORD]
    outcome = outcome_of(flights(RECORD)[0], beside=beside, slots=4)
    assert outcome.active == 2
    assert (outcome.first_s, outcome.total_s, outcome.predicted_p90_s) == pytest.approx(
        (0.2, 0.9, 2.0)
    )


def test_a_first_token_counts_only_where_it_was_seen() -> None:
    assert (
        outcome_of(flights(replace(RECORD, streamed=False))[0], beside=[RECORD], slots=1).first_s
        is None
    )
    assert outcome_of(
        flights(replace(RECORD, status="cancelled"))[0], beside=[RECORD], slots=1
    ).censored


def test_folds_come_at_most_four_times_a_second(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        versions = set()
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for _ in range(100):
                learning.take(flights(RECORD))
                await anyio.sleep(0.01)
                versions |= {fold.version for fold in folds(around).folds}
            group.cancel_scope.cancel()
        assert 3 <= len(versions) <= 6

    simulate(main)


def test_what_was_learned_is_closer_to_what_happened(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for number in range(200):
                at = Micros(2_000_000 * number)
                learning.take(flights(replace(RECORD, at_us=at, tokens_in=300 + number)))
                await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        (fold,) = folds(around).folds
        assert fold.state == "ok"
        predicted = fold.t0 + fold.t_in * 400 + fold.t_step * 49
        assert 0.6 < predicted < 1.3

    simulate(main)


def test_failures_and_interruptions_teach_nothing(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            learning.take(
                flights(replace(RECORD, status="failed"), replace(RECORD, status="interrupted"))
            )
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        assert folds(around).folds == ()

    simulate(main)


def test_coefficients_go_with_their_endpoint(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            learning.take(flights(RECORD))
            await anyio.sleep(1)
            around.board.drop_endpoint(CHAT)
            learning.take(flights(RECORD))
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        assert folds(around).folds == ()

    simulate(main)


def test_the_way_to_another_node_is_taken_off_and_the_cap_is_told() -> None:
    outcome = outcome_of(flights(RECORD, cap=64)[0], beside=[RECORD], slots=1, link_s=0.1)
    assert (outcome.link_s, outcome.cap) == (0.1, 64)


def test_a_strained_host_is_told_before_the_next_outcome(around) -> None:
    serve(around)
    strained = [1.0]
    learning = learns(around, lambda _pids: strained[0])

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            group.start_soon(learning.watch)
            learning.take(flights(RECORD))
            await anyio.sleep(1)
            (calm,) = folds(around).folds
            strained[0] = 2.0
            await anyio.sleep(5)
            (busy,) = folds(around).folds
            group.cancel_scope.cancel()
        assert busy.t_step == pytest.approx(2 * calm.t_step, rel=0.1)
        assert folds(around).lengths == {}

    simulate(main)


def test_outcomes_of_one_endpoint_do_not_hide_the_strain_from_another(around) -> None:
    serve(around)
    serve(around, name=EndpointId("quiet@1"))
    strained = [1.0]
    learning = learns(around, lambda _pids: strained[0])

    def step_of_the_quiet_one() -> float:
        return next(fold.t_step for fold in folds(around).folds if fold.endpoint == "quiet@1")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            group.start_soon(learning.watch)
            learning.take(flights(replace(RECORD, endpoint=EndpointId("quiet@1"))))
            await anyio.sleep(1)
            calm = step_of_the_quiet_one()
            strained[0] = 2.0
            for _ in range(500):
                learning.take(flights(RECORD))
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        assert step_of_the_quiet_one() == pytest.approx(2 * calm, rel=0.1)

    simulate(main)


def told(around, record: UsageRecord) -> tuple[int, float]:
    """What is told of a key's answers after 300 of them."""
    serve(around)
    learning, found = learns(around), []

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for _ in range(300):
                learning.take(flights(record))
                await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        found.append(folds(around).lengths["k\nm"])

    simulate(main)
    return found[0]


def test_the_lengths_of_a_keys_answers_are_told_once_they_are_known(around) -> None:
    median, width = told(around, replace(RECORD, predicted_us=0))
    assert 40 < median < 60
    assert 0.0 <= width < 0.66


def test_a_key_whose_answers_take_longer_than_promised_is_promised_longer_ones(around) -> None:
    assert told(around, replace(RECORD, predicted_us=1))[0] > 60


def test_the_lengths_of_answers_with_a_tag_are_those_of_all_its_keys(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for number in range(60):
                record = replace(RECORD, key=KeyId(f"k{number}"), tag="batch")
                learning.take(flights(record))
                await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        assert list(folds(around).lengths) == ["#batch\nm"]

    simulate(main)


def test_keys_that_nobody_uses_any_more_are_forgotten(around) -> None:
    serve(around)
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for number in range(TAGS // 64 + 14):
                for each in range(64):
                    record = replace(RECORD, key=KeyId(f"k{max(0, number - 12) * 64 + each}"))
                    learning.take(flights(record))
                await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        assert "k0\nm" not in folds(around).lengths

    simulate(main)


def test_strain_is_that_of_the_time_of_a_request() -> None:
    clock, values = SettableClock(), iter([3.0, 1.0, 1.0])
    strains = Strains(clock, lambda _pids: next(values))
    assert strains.during(0, 10) == 1.0
    began = clock.wall()
    for _ in range(3):
        strains.take([])
        clock.advance(10.0)
    assert strains.during(began, 1) == 2.0
    assert strains.during(began, 10_000_000) == pytest.approx(1.75)
    assert strains.during(began + 11_000_000, 1) == pytest.approx(1.5)


def test_an_engine_that_was_probed_does_not_begin_as_an_unknown_one(around) -> None:
    serve(around)
    speeds = [
        Speed(
            endpoint=CHAT,
            tokens_in=tokens_in,
            tokens_out=1,
            streams=1,
            first_s=Seconds(first_s),
            total_s=Seconds(first_s),
            at_us=Micros(0),
        )
        for tokens_in, first_s in ((32, 1.0), (512, 49.0))
    ]
    around.board.put_speeds(CHAT, tuple(speeds))
    learning = learns(around)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            learning.take(flights(replace(RECORD, tokens_in=Tokens(1))))
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        (folded,) = folds(around).folds
        assert folded.t_in > 0.003

    simulate(main)
