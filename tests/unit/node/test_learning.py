"""Outcomes become coefficients."""

from dataclasses import replace

import anyio
import pytest

from littoral.domain.endpoint import Endpoint
from littoral.domain.flight import SETTLED, SLOT_BYTES, identity, read, write
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.session import Folds
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord
from littoral.node.learning import Learning, outcome_of
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


def folds(around) -> Folds:
    return next(frame for frame in around.board.frames() if isinstance(frame, Folds))


def serve(around, slots: int = 4) -> None:
    endpoint = Endpoint(
        id=CHAT,
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
    outcome = outcome_of(RECORD, beside=beside, slots=4)
    assert outcome.active == 2
    assert (outcome.first_s, outcome.total_s, outcome.predicted_p90_s) == pytest.approx(
        (0.2, 0.9, 2.0)
    )


def test_a_first_token_counts_only_where_it_was_seen() -> None:
    assert outcome_of(replace(RECORD, streamed=False), beside=[RECORD], slots=1).first_s is None
    assert outcome_of(replace(RECORD, status="cancelled"), beside=[RECORD], slots=1).censored


def test_folds_come_at_most_four_times_a_second(around) -> None:
    serve(around)
    learning = Learning(around.board, open_now=list)

    async def main() -> None:
        versions = set()
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for _ in range(100):
                learning.take([RECORD])
                await anyio.sleep(0.01)
                versions |= {fold.version for fold in folds(around).folds}
            group.cancel_scope.cancel()
        assert 3 <= len(versions) <= 6

    simulate(main)


def test_what_was_learned_is_closer_to_what_happened(around) -> None:
    serve(around)
    learning = Learning(around.board, open_now=list)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            for number in range(200):
                at = Micros(2_000_000 * number)
                learning.take([replace(RECORD, at_us=at, tokens_in=300 + number)])
                await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        (fold,) = folds(around).folds
        assert fold.state == "ok"
        predicted = fold.t0 + fold.t_in * 400 + fold.t_step * 49
        assert 0.6 < predicted < 1.3

    simulate(main)


def test_failures_and_interruptions_teach_nothing(around) -> None:
    serve(around)
    learning = Learning(around.board, open_now=list)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            learning.take([replace(RECORD, status="failed"), replace(RECORD, status="interrupted")])
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        assert folds(around).folds == ()

    simulate(main)


def test_coefficients_go_with_their_endpoint(around) -> None:
    serve(around)
    learning = Learning(around.board, open_now=list)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(learning.run)
            learning.take([RECORD])
            await anyio.sleep(1)
            around.board.drop_endpoint(CHAT)
            learning.take([RECORD])
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        assert folds(around).folds == ()

    simulate(main)
