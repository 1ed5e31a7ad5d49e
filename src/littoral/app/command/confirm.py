"""Asking before something cannot be undone."""

import sys

from littoral.app.command.screen import Screen
from littoral.domain.errors import InvalidInput


def confirm(shown: Screen, question: str, *, yes: bool) -> bool:
    """Ask on the terminal unless ``--yes`` was given.

    Raises:
        InvalidInput: There is no terminal to ask on.
    """
    if yes:
        return True
    if not sys.stdin.isatty() or shown.as_json:
        raise InvalidInput(f"{question} There is no terminal to ask on: add --yes")
    shown.ask(shown.say("confirm", what=question))
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
