from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import Damaged
from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.units import Micros, Tokens
from littoral.domain.usage import UsageRecord
from littoral.placement import columns

RECORD = UsageRecord(
    request=RequestId("rq_1"),
    attempt=0,
    project=ProjectId("default"),
    key=KeyId("k1"),
    model="tiny",
    deployment=DeploymentName("d"),
    endpoint=EndpointId("d@1"),
    status="ok",
    streamed=True,
    estimated=False,
    tokens_in=Tokens(10),
    tokens_cached=Tokens(0),
    tokens_out=Tokens(20),
    at_us=Micros(1_800_000_000_000_000),
    first_us=100,
    total_us=2000,
    predicted_us=1900,
    predicted_p90_us=2500,
    cost=0.25,
    decided=1,
)
COUNT = st.integers(0, (1 << 32) - 1)
RECORDS = st.builds(
    replace,
    st.just(RECORD),
    request=st.text(max_size=30),
    attempt=st.integers(0, 300),
    key=st.sampled_from(["k1", "k2", "schlüssel"]),
    status=st.sampled_from(["ok", "cancelled", "failed", "interrupted"]),
    streamed=st.booleans(),
    tokens_out=COUNT,
    at_us=st.integers(0, 1 << 60),
    total_us=COUNT,
    cost=st.floats(allow_nan=False),
    decided=COUNT,
)


def ordered(records):
    return sorted(records, key=lambda each: (each.at_us, each.request, each.attempt))


@given(st.lists(RECORDS, min_size=1, max_size=40))
def test_records_are_read_back_as_they_were_in_the_order_of_their_beginning(records):
    assert columns.records(columns.pack(records)) == ordered(records)


def many(count):
    return [
        replace(
            RECORD,
            request=RequestId(f"rq_{number:08d}"),
            at_us=Micros(RECORD.at_us + number * 1_000_000),
            total_us=2000 + number % 97,
        )
        for number in range(count)
    ]


def test_some_columns_can_be_had_without_the_others():
    found = columns.columns(columns.pack(many(5)), ("total_us", "model"))
    assert set(found) == {"total_us", "model"}
    assert list(found["total_us"]) == [2000, 2001, 2002, 2003, 2004]
    assert list(found["model"]) == ["tiny"] * 5


def test_columns_take_a_small_part_of_what_rows_would():
    assert len(columns.pack(many(1000))) < 20 * 1000


def test_a_column_of_a_later_version_is_left_out_and_one_that_lacks_has_its_default():
    body = columns.pack([RECORD])
    start = body.index(b"decided") - columns._HEAD.size  # noqa: SLF001  the layout is what is tested
    assert columns.records(body[:start]) == [replace(RECORD, decided=0)]
    renamed = body.replace(b"decided", b"unheard")
    assert columns.records(renamed) == [replace(RECORD, decided=0)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda body: b"no" + body, "does not begin"),
        (lambda body: body[:-1], "cannot be read"),
        (lambda body: body[:-9] + bytes([body[-9] ^ 1]) + body[-8:], "cannot be read"),
        (lambda body: body + b"\x01", "cannot be read"),
        (lambda body: body.replace(b"model", b"other"), "lacks model"),
        (lambda body: body.replace(b"\x07\x04", b"\x07\x63", 1), "the kind 99"),
    ],
)
def test_what_was_changed_is_refused(change, told):
    body = columns.pack([RECORD])
    changed = change(body)
    assert changed != body
    with pytest.raises(Damaged, match=told):
        columns.records(changed)


def test_columns_of_several_lengths_are_refused():
    one, two = columns.pack(many(1)), columns.pack(many(2))
    at, other = one.index(b"decided"), two.index(b"decided")
    with pytest.raises(Damaged, match="several lengths"):
        columns.records(one[: at - columns._HEAD.size] + two[other - columns._HEAD.size :])  # noqa: SLF001


def test_every_field_of_a_record_has_a_column():
    found = columns.columns(columns.pack([RECORD]))
    assert list(found) == [each.name for each in fields(UsageRecord)]
