"""What applying documents did or would do, shown to people."""

from collections.abc import Sequence

from littoral.app.command.screen import Screen
from littoral.domain.resource import Change

SIGNS = {"create": "+", "update": "~", "delete": "-", "unchanged": " "}


def show_changes(shown: Screen, changes: Sequence[Change]) -> None:
    """One line a change: sign, kind, name, changed fields."""
    for change in changes:
        fields = f"  ({', '.join(change.fields)})" if change.fields else ""
        sign = SIGNS[change.action]
        shown.line(f"{sign} {change.kind} {change.name}  {change.action}{fields}")


def any_change(changes: Sequence[Change]) -> bool:
    """Whether anything differs."""
    return any(change.action != "unchanged" for change in changes)
