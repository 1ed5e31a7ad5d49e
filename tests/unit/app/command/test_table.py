from hypothesis import given
from hypothesis import strategies as st

from littoral.app.command import table


def test_columns_are_aligned_and_numbers_flush_right():
    rows = [("a", "5"), ("longer", "12345")]
    assert table.lines(("NAME", "COUNT"), rows, right=(1,)) == [
        "NAME    COUNT",
        "a           5",
        "longer  12345",
    ]


def test_chinese_characters_take_two_columns():
    assert table.lines(("N", "X"), [("模型", "1"), ("ab", "2")]) == [
        "N     X",
        "模型  1",
        "ab    2",
    ]


def test_control_characters_cannot_drive_the_terminal():
    assert table.clean("a\x1b[31mb\nc\u202e") == "a?[31mb c?"


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=5))
def test_every_row_is_one_line(rows):
    assert len(table.lines(("A", "B"), rows)) == len(rows) + 1
    assert all(len(line.splitlines()) <= 1 for line in table.lines(("A", "B"), rows))
