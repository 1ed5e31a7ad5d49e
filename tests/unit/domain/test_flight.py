import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.flight import (
    ESTIMATED,
    FREE,
    IDENTITY_BYTES,
    OPEN,
    SETTLED,
    SLOT_BYTES,
    STATUSES,
    STREAMED,
    Flight,
    capped,
    cost_of,
    count,
    free,
    identity,
    read,
    settle,
    write,
)

NAMES = ("rq_1", "home", "abcdefghij", "smollm2", "smollm2", "smollm2-0")
U32 = st.integers(0, (1 << 32) - 1)
HEADERS = st.tuples(
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 255),
    U32,
    U32,
    U32,
    st.integers(0, (1 << 63) - 1),
    U32,
    U32,
    U32,
    U32,
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\x1f", exclude_categories=["Cs"]),
    max_size=12,
)
HEADER = (STREAMED, 0, 1, 10, 3, 20, 1_700_000_000_000_000, 5, 50, 60, 90, 1.0, 2.0)


def table(slots: int = 3) -> bytearray:
    return bytearray(slots * SLOT_BYTES)


def put(buffer: bytearray, index: int, state: int = SETTLED) -> None:
    write(buffer, index, state=state, header=HEADER, names=identity(NAMES))


@given(st.integers(0, 2), st.booleans(), HEADERS, st.tuples(*[WORDS] * 6), WORDS)
def test_what_was_written_is_read_back(index, settled, header, names, tag):
    buffer = table()
    state = SETTLED if settled else OPEN
    write(buffer, index, state=state, header=header, names=identity(names, tag=tag))
    flight = read(buffer, index)
    assert flight is not None
    flags, status, attempt, tokens_in, cached, tokens_out, at, *times, price_in, price_out = header
    record = flight.record
    assert (flight.index, flight.settled) == (index, settled)
    assert (
        record.request,
        record.project,
        record.key,
        record.model,
        record.deployment,
        record.endpoint,
    ) == names
    assert record.tag == tag
    assert record.status == (STATUSES[status] if settled else "interrupted")
    assert record.streamed == bool(flags & STREAMED)
    assert record.estimated == (bool(flags & ESTIMATED) or not settled)
    assert (record.attempt, record.tokens_in) == (attempt, tokens_in)
    assert (record.tokens_cached, record.tokens_out) == (cached, tokens_out)
    assert record.at_us == at
    assert [
        record.first_us,
        record.total_us,
        record.predicted_us,
        record.predicted_p90_us,
    ] == times
    assert record.cost == cost_of(tokens_in, tokens_out, price_in=price_in, price_out=price_out)
    assert all(read(buffer, other) is None for other in {0, 1, 2} - {index})


def test_money_is_tokens_times_the_price_per_million():
    assert cost_of(1_000_000, 500_000, price_in=2.0, price_out=6.0) == 5.0
    assert cost_of(0, 0, price_in=2.0, price_out=6.0) == 0.0


def test_the_tokens_are_counted_in_place():
    buffer = table()
    put(buffer, 1, OPEN)
    count(buffer, 1, 77)
    assert read(buffer, 1).record.tokens_out == 77
    with pytest.raises(struct.error):
        count(buffer, 1, 1 << 32)
    assert read(buffer, 1).record.tokens_out == 77


def test_settling_keeps_the_names_and_takes_the_last_counts():
    buffer, whole = table(), table()
    put(buffer, 1, OPEN)
    final = (0, 1, 2, 11, 4, 99, HEADER[6] + 1, 6, 51)
    settle(buffer, 1, final)
    write(whole, 1, state=SETTLED, header=(*final, *HEADER[9:]), names=identity(NAMES))
    assert buffer == whole


@pytest.mark.parametrize("stores", range(2))
def test_a_gateway_that_dies_while_settling_leaves_the_request_open(stores):
    buffer = Torn(SLOT_BYTES)
    buffer.left = 99
    put(buffer, 0, OPEN)
    buffer.left = stores
    with pytest.raises(InterruptedError):
        settle(buffer, 0, HEADER[:9])
    flight = read(buffer, 0)
    assert flight is not None
    assert (flight.settled, flight.record.request) == (False, "rq_1")
    assert flight.record.status == "interrupted"


def test_counts_that_do_not_fit_leave_the_slot_as_it_was():
    buffer = table()
    put(buffer, 0, OPEN)
    before = bytes(buffer)
    with pytest.raises(struct.error):
        settle(buffer, 0, (*HEADER[:7], 1 << 32, 50))
    assert bytes(buffer) == before


def test_a_slot_given_back_is_not_read():
    buffer = table()
    put(buffer, 2)
    free(buffer, 2)
    assert read(buffer, 2) is None


def test_a_view_serves_as_well_as_an_array():
    buffer = table()
    put(memoryview(buffer), 0)
    assert isinstance(read(memoryview(buffer), 0), Flight)


class Torn(bytearray):
    """A buffer whose writer dies before its n-th store."""

    left = 0

    def __setitem__(self, place, value):
        if not self.left:
            raise InterruptedError
        self.left -= 1
        super().__setitem__(place, value)


@pytest.mark.parametrize("before", [FREE, OPEN, SETTLED])
def test_a_slot_whose_writer_died_before_its_state_reads_as_free(before):
    buffer = Torn(SLOT_BYTES)
    buffer.left = 99
    if before != FREE:
        put(buffer, 0, before)
    buffer.left = 0
    with pytest.raises(InterruptedError):
        write(buffer, 0, state=SETTLED, header=HEADER, names=identity(("other",) * 6))
    assert read(buffer, 0) is None
    buffer.left = 99
    put(buffer, 0)
    assert read(buffer, 0).record.request == "rq_1"


@pytest.mark.parametrize("state", [3, 77, 255])
def test_an_unknown_state_reads_as_free(state):
    buffer = table()
    put(buffer, 0)
    buffer[0] = state
    assert read(buffer, 0) is None


@pytest.mark.parametrize("status", [len(STATUSES), 200])
def test_an_unknown_status_reads_as_interrupted(status):
    buffer = table()
    put(buffer, 0)
    buffer[2] = status
    assert read(buffer, 0).record.status == "interrupted"


@given(st.binary(min_size=SLOT_BYTES, max_size=SLOT_BYTES))
def test_noise_reads_as_free_or_as_a_record(noise):
    flight = read(bytearray(noise), 0)
    assert flight is None or isinstance(flight, Flight)


@given(st.tuples(*[st.text(max_size=200)] * 6))
def test_an_identity_fits_its_slot_and_reads_back_or_not_at_all(names):
    joined = identity(names)
    assert len(joined) <= IDENTITY_BYTES
    buffer = table()
    write(buffer, 1, state=SETTLED, header=HEADER, names=joined)
    flight = read(buffer, 1)
    if flight is not None:
        assert flight.record.request == names[0]
    assert read(buffer, 0) is None
    assert read(buffer, 2) is None


@pytest.mark.parametrize(
    ("cap", "read_as"), [(None, None), (1, 1), (9, 8), (16_384, 16_384), (40_000, None)]
)
def test_the_cap_on_an_answer_is_kept_as_its_power_of_two(cap, read_as):
    memory = bytearray(SLOT_BYTES)
    header = (capped(cap) | STREAMED, 0, 0, 7, 0, 5, 1, 2, 3, 4, 5, 0.0, 0.0)
    write(memory, 0, state=SETTLED, header=header, names=identity(("r", "p", "k", "m", "d", "e")))
    found = read(memory, 0)
    assert found is not None
    assert (found.cap, found.record.streamed, found.guest) == (read_as, True, False)
