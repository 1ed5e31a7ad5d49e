import pytest

from littoral.app.command import figures


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (93_061_120, "93.1 MB"), (999_600, "1.0 MB"),
     (123_400_000_000, "123 GB"), (5e18, "5000 PB")],
)  # fmt: skip
def test_a_size_has_at_most_three_figures_and_its_unit(count, text):
    assert figures.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.8504, "850 ms"), (0.9996, "1.0 s"), (4.21, "4.2 s"), (59.96, "1 min 00 s"),
     (185, "3 min 05 s"), (3600, "1 h 00 min"), (187_200, "2 d 4 h")],
)  # fmt: skip
def test_a_span_is_told_in_at_most_two_units(seconds, text):
    assert figures.span(seconds) == text


def test_a_moment_is_told_in_utc():
    assert figures.moment(1_700_000_000_000_000) == "2023-11-14 22:13:20Z"


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.00001, "0.00001"), (1.5, "1.5"), (1234.567, "1234.57")]
)
def test_money_keeps_small_amounts_visible(value, text):
    assert figures.money(value) == text
