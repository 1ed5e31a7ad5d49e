import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.errors import InvalidInput
from littoral.domain.ids import DIGEST, checked_name, checked_tag, new_id
from littoral.domain.units import Micros


@pytest.mark.parametrize("name", ["a", "a1", "smollm2-135m.q4_1", "0", "a" * 63])
def test_a_good_name_is_returned(name):
    assert checked_name(name, what="model") == name


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", ".a", "A", "a b", "a/b", "a\n", "ä", "a" * 64, "..", "a\x00"]
)
def test_a_bad_name_is_refused_with_what_is_allowed(name):
    with pytest.raises(InvalidInput, match="cannot name a model: allowed are 1 to 63 of a-z"):
        checked_name(name, what="model")


@given(st.text())
def test_a_name_that_passes_is_safe_in_a_path(name):
    try:
        checked_name(name, what="model")
    except InvalidInput:
        return
    assert re.fullmatch(r"[a-z0-9._-]{1,63}", name)
    assert ".." not in {name, name[:2]}


@pytest.mark.parametrize("tag", ["", "a", "batch", "chat.v2", "x" * 32])
def test_a_tag_is_short_or_empty(tag):
    assert checked_tag(tag, at="tag") == tag


@pytest.mark.parametrize("tag", ["-a", "A", "a b", "x" * 33, "a\n", "#a"])
def test_a_bad_tag_is_refused_with_its_field_and_what_is_allowed(tag):
    with pytest.raises(InvalidInput, match=r"spec\.tag: .* allowed are 1 to 32 of a-z") as raised:
        checked_tag(tag, at="spec.tag")
    assert raised.value.param == "spec.tag"


def test_ids_sort_by_time_and_carry_their_noise():
    ids = [
        new_id("nd", wall=Micros(wall), noise=bytes([noise]) * 10)
        for wall, noise in [(1_000, 255), (2_000, 0), (1_700_000_000_000_000, 0)]
    ]
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"nd_[a-z2-7]{26}", one) for one in ids)
    assert new_id("nd", wall=Micros(0), noise=bytes(10)) == "nd_" + "a" * 26
    assert len({new_id("rq", wall=Micros(5), noise=bytes([n] * 10)) for n in range(256)}) == 256


def test_digests_have_one_form():
    assert DIGEST.fullmatch("sha256:" + "0a" * 32)
    for bad in ("sha256:" + "0A" * 32, "sha256:" + "00" * 31, "md5:" + "00" * 32, "00" * 32):
        assert DIGEST.fullmatch(bad) is None
    assert DIGEST.fullmatch("sha256:" + "00" * 32 + "\n") is None
