"""``littoral version``: which build this is."""

import platform

from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.version import VERSION


def version(*, reach: Reach = HERE) -> None:
    """Print the version of Littoral and of Python.

    Args:
        reach: Options of every command.
    """
    shown = screen(as_json=reach.json)
    python = platform.python_version()
    shown.line(f"littoral {VERSION} (Python {python})")
    shown.json({"version": VERSION, "python": python})
