"""A growing text is given out as far as it is sure, and ends before its first stop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.engines.child.cutting import Cutter


def given_out(text: str, stops, *, steps: int = 1) -> str:
    cutter = Cutter(stops)
    pieces = [cutter.feed(text[:end]) for end in range(0, len(text), steps)]
    return "".join([*pieces, cutter.feed(text, last=True)])


@pytest.mark.parametrize(
    ("text", "stops", "wanted"),
    [
        ("ebb and flow", [], "ebb and flow"),
        ("ebb and flow", [" and"], "ebb"),
        ("ebb and flow", ["flow", "and"], "ebb "),
        ("ebb and flo", ["flow"], "ebb and flo"),
        ("ebb", ["ebb"], ""),
        ("ebb", [""], "ebb"),
    ],
)
def test_a_text_ends_before_its_first_stop(text, stops, wanted):
    assert given_out(text, stops) == wanted


def test_half_a_letter_is_held_back_until_it_is_whole():
    cutter = Cutter([])
    assert cutter.feed("a\ufffd") == "a"
    assert cutter.feed("a潮") == "潮"
    assert cutter.feed("a潮\ufffd", last=True) == "\ufffd"


def test_nothing_comes_after_a_stop():
    cutter = Cutter(["b"])
    assert cutter.feed("ab") == "a"
    assert cutter.stopped
    assert cutter.feed("abc") == ""


@given(st.text("ab", max_size=20), st.text("ab", min_size=1, max_size=3), st.integers(1, 5))
def test_pieces_come_to_what_the_whole_is_cut_to(text, stop, steps):
    assert given_out(text, [stop], steps=steps) == text.partition(stop)[0]
