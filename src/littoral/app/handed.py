"""What a process is handed by the one that started it: settings, and open files by name."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, cast

from littoral.app.settings import Settings, from_json
from littoral.domain.errors import InvalidInput, LittoralError, NewerData, Revoked

REFUSED = 2
"""Exit status: starting again would be refused again."""
FAILED = 1


class _Line(TypedDict):
    settings: dict[str, object]
    descriptors: dict[str, int]
    nth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Settings and descriptors; standard input stays open for as long as the parent lives.

    ``worker`` says which of several like it a process is, from 0.
    """

    settings: Settings
    descriptors: Mapping[str, int]
    worker: int = 0


def handed() -> Handed:
    """Read the one line on standard input.

    Raises:
        InvalidInput: It is not there: people run ``littoral up``, not this.
    """
    line = sys.stdin.buffer.readline()
    try:
        told = cast("_Line", json.loads(line))
        settings = from_json(json.dumps(told["settings"]))
        return Handed(settings=settings, descriptors=told["descriptors"], worker=told["nth"])
    except (ValueError, KeyError, TypeError):
        raise InvalidInput("this role is started by 'littoral up', not by hand") from None


def line_for(settings: Settings, descriptors: Mapping[str, int], worker: int = 0) -> bytes:
    """Write the line that ``handed`` reads."""
    line: _Line = {
        "settings": json.loads(settings.to_json()),
        "descriptors": dict(descriptors),
        "nth": worker,
    }
    return json.dumps(line).encode() + b"\n"


def failed(error: LittoralError) -> int:
    """Say why this process ends, and return its exit status."""
    sys.stderr.write(f"{error.message}\n")
    return REFUSED if isinstance(error, InvalidInput | NewerData | Revoked) else FAILED
