import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.app.command import parsing
from littoral.domain.errors import InvalidInput

NOW = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43200), ("30d", 2592000), ("2w", 1209600)],
)
def test_durations_have_one_unit(text, seconds):
    assert parsing.duration(text, what="--x") == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-3d", "3 d", "1.5h", "3D", "99999999999d"])
def test_anything_else_is_no_duration_and_the_message_names_the_option(text):
    with pytest.raises(InvalidInput, match="--expires"):
        parsing.duration(text, what="--expires")


def test_days_must_be_whole():
    assert parsing.whole_days("48h", what="--x") == 2
    for text in ("36h", "0d"):
        with pytest.raises(InvalidInput, match="whole number of days"):
            parsing.whole_days(text, what="--x")


def test_a_moment_may_be_a_time_ago_a_date_or_a_time():
    assert parsing.moment("1d", now=NOW, what="--since") == NOW - 86_400_000_000
    assert parsing.moment("2023-11-14", now=NOW, what="--since") == 1_699_920_000_000_000
    at = parsing.moment("2023-11-15T06:13:20+08:00", now=NOW, what="--since")
    assert at == NOW
    with pytest.raises(InvalidInput, match="--since"):
        parsing.moment("yesterday", now=NOW, what="--since")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a=true", True),
        ("a=false", False),
        ("a=x=y", "x=y"),
        ("a=", ""),
    ],
)
def test_an_option_takes_the_type_it_looks_like(text, value):
    name, got = parsing.option(text)
    assert (name, got, type(got)) == ("a", value, type(value))


@pytest.mark.parametrize("text", ["a", "=1", " =2", ""])
def test_an_option_without_name_or_value_is_refused(text):
    with pytest.raises(InvalidInput, match="name=value"):
        parsing.option(text)


@given(st.lists(st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True), max_size=5))
def test_words_are_split_at_commas(names):
    assert parsing.words(" , ".join(names)) == tuple(names)
