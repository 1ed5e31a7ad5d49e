"""Which patterns are bounded, and on how long a text."""

import re

import pytest

from littoral.domain.errors import InvalidInput
from littoral.trust import pattern


@pytest.mark.parametrize(
    "text",
    [
        "^[0-9]+$",
        "^(good|bad)$",
        r"\AYes\b",
        "(?i)^(?:yes|no)[.]?$",
        "^a{3}[]x]$",
        "^a{2,}b{,3}c{x}$",
        r"^\{.*\}$",
        "(?s)^.*?$",
        "4",
        "",
    ],
)
def test_what_is_tied_or_repeats_nothing_does_for_all_texts(text):
    re.compile(text)
    assert pattern.reach(text) == pattern.LONGEST
    pattern.check(text, path="here")


@pytest.mark.parametrize("text", ["[0-9]+", "a|b+", "(?:ab)+", "#### *4", "x*"])
def test_what_may_start_anywhere_and_repeat_does_for_short_texts(text):
    assert pattern.LEAST <= pattern.reach(text) < pattern.LONGEST


@pytest.mark.parametrize(
    "text",
    [
        "^(a+)+$",
        "^(a|a)*$",
        "^(a+)+{}$",
        "^(a|ab){40}$",
        "^(?:a?){40}$",
        "a?" * 40,
        ".*.*=.*",
        "^.*a.*b.*c",
        r"(a)\1",
        "(?=a)b",
        "(?<!a)b",
        "(?m)^a",
        "(?P<name>a)",
        "(?:(?:ab){1000}){1000}",
    ],
)
def test_what_may_take_too_long_is_refused(text):
    re.compile(text)
    assert pattern.reach(text) == 0
    with pytest.raises(InvalidInput, match="too long"):
        pattern.check(text, path="here")


def test_a_few_ways_many_times_are_bounded():
    assert pattern.steps("^(?:a|b){2,3}$", 10) < 1000
    assert pattern.reach("^(?:a|b){2,3}$") == pattern.LONGEST


@pytest.mark.parametrize(("one", "other"), [("a*", "^a*"), ("ab*", "ab"), ("(a|b)c", "ac")])
def test_more_ways_take_more_steps(one, other):
    assert pattern.steps(one, 1000) > pattern.steps(other, 1000)
