from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.decided import MOST, decided, rejected_of, why_of
from littoral.domain.placement import Reason, Why


@given(
    st.sampled_from(get_args(Why)),
    st.lists(st.integers(0, 100), min_size=len(get_args(Reason)), max_size=len(get_args(Reason))),
)
def test_a_decision_is_read_back_with_counts_up_to_their_most(why, rejected):
    number = decided(why, rejected)
    assert why_of(number) == why
    expected = dict(zip(get_args(Reason), (min(each, MOST) for each in rejected), strict=True))
    assert rejected_of(number) == {name: count for name, count in expected.items() if count}
    assert number < 1 << 32


@pytest.mark.parametrize("number", [0, 15])
def test_what_was_not_noted_has_no_reason(number):
    assert why_of(number) is None
    assert decided("a word of a later version", (0, 0, 0, 0, 0, 0)) == 0
