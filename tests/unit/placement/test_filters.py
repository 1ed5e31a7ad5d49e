from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.endpoint import Capability
from littoral.placement.filters import capability_mask

NAMES = st.frozensets(st.sampled_from(get_args(Capability)))


@given(NAMES, NAMES)
def test_masks_contain_each_other_as_sets_do(needs, has):
    assert (capability_mask(needs) & ~capability_mask(has) == 0) == (needs <= has)


def test_each_capability_has_its_own_bit():
    assert capability_mask(get_args(Capability)) == (1 << len(get_args(Capability))) - 1
    assert capability_mask(()) == 0
