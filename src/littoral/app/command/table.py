"""Aligned columns for a terminal, wide characters counted as two."""

import unicodedata
from collections.abc import Sequence

GAP = "  "


def width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def clipped(text: str, columns: int) -> str:
    """As much of a text as fits into so many columns."""
    while width(text) > columns:
        text = text[: len(text) - max(1, (width(text) - columns) // 2)]
    return text


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Fill with blanks to ``columns``, on the left where ``right``."""
    blanks = " " * max(0, columns - width(text))
    return blanks + text if right else text + blanks


def lines(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> list[str]:
    """Lay out a table.

    Args:
        head: Titles of the columns.
        rows: Cells, as many a row as there are titles.
        right: Indices of columns that are set flush right (numbers).

    Returns:
        The head and one line a row, no blanks at the ends.
    """
    everything = [list(head), *[[clean(cell) for cell in row] for row in rows]]
    widths = [max(width(row[index]) for row in everything) for index in range(len(head))]
    return [
        GAP.join(
            pad(cell, widths[index], right=index in right) for index, cell in enumerate(row)
        ).rstrip()
        for row in everything
    ]


def clean(text: str) -> str:
    """Replace what could drive a terminal: control characters become a question mark."""
    return "".join(
        " " if c in "\n\t" else "?" if unicodedata.category(c) in {"Cc", "Cf"} else c for c in text
    )
