"""Recorded traffic as a schedule: Azure's CSV, Mooncake's JSON lines, and our own.

* Azure 2023: columns ``TIMESTAMP, ContextTokens, GeneratedTokens``.
* Mooncake: ``timestamp`` (ms), ``input_length``, ``output_length``, ``hash_ids``: a prompt is made
  of blocks of 512 tokens, equal ids are equal text, so that a prefix cache sees what it would have
  seen. Its stamps are rounded to 3 s: those on one stamp are spread evenly up to the next.
* Ours, as written by ``--rows``: ``at`` (s), ``tokens_in``, ``tokens_out``.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import cast

from littoral.app.bench.arrival import Arrival
from littoral.domain.errors import InvalidInput

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MOONCAKE = ("timestamp", "input_length", "output_length")
OURS = ("at", "tokens_in", "tokens_out")
KNOWN = (
    f"a CSV with the columns {', '.join(AZURE)}; JSON lines with {', '.join(MOONCAKE)}; "
    f"or JSON lines with {', '.join(OURS)}"
)
SHOWN = 80
STEP_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What to take of a trace, and how to bend it.

    Args:
        speed: 2 replays twice as fast.
        duration: Seconds of the replay; later arrivals are left out.
        count: At most so many arrivals.
        most_in: Longer prompts are cut to so many tokens; 0 leaves them.
        most_out: Longer answers likewise.
    """

    speed: float = 1.0
    duration: float = math.inf
    count: int | None = None
    most_in: int = 0
    most_out: int = 0


def read(text: str, *, name: str) -> list[Arrival]:
    """Read a whole trace, its first arrival at 0, ascending.

    Args:
        text: The file.
        name: What to call it in messages.

    Raises:
        InvalidInput: The form is unknown or a line is malformed; the message has its number.
    """
    lines = text.lstrip("\ufeff").splitlines()
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        found = _json_lines(lines, name=name)
    elif [cell.strip() for cell in first.split(",")] == list(AZURE):
        found = _azure(lines, name=name)
    else:
        raise InvalidInput(f"{name} is no trace that is known: it must be {KNOWN}")
    if not found:
        raise InvalidInput(f"{name} holds no request")
    ordered = sorted(found, key=lambda arrival: arrival.at)
    begin = ordered[0].at
    return [replace(each, at=each.at - begin) for each in ordered]


def taken(arrivals: Sequence[Arrival], cut: Cut) -> list[Arrival]:
    """The part of a trace that is replayed."""
    kept = [
        Arrival(
            at=each.at / cut.speed,
            tokens_in=min(each.tokens_in, cut.most_in or each.tokens_in),
            tokens_out=min(each.tokens_out, cut.most_out or each.tokens_out),
            blocks=each.blocks,
        )
        for each in arrivals
        if each.at / cut.speed < cut.duration
    ]
    return kept[: cut.count]


def _azure(lines: Sequence[str], *, name: str) -> list[Arrival]:
    found: list[Arrival] = []
    head = next(number for number, line in enumerate(lines) if line.strip())
    for number, cells in enumerate(csv.reader(lines[head + 1 :]), head + 2):
        if not cells:
            continue
        try:
            at = datetime.fromisoformat(cells[0].strip()).timestamp()
            tokens_in, tokens_out = (int(cell) for cell in cells[1:3])
        except (ValueError, IndexError):
            raise _bad(name, number, ",".join(cells)) from None
        found.append(_arrival(name, number, at=at, tokens=(tokens_in, tokens_out)))
    return found


def _json_lines(lines: Sequence[str], *, name: str) -> list[Arrival]:
    rows = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    mooncake = f'"{MOONCAKE[1]}"' in rows[0][1]
    found: list[Arrival] = []
    for number, line in rows:
        try:
            row = cast("dict[str, object]", json.loads(line))
            at, tokens, blocks = _mooncake(row) if mooncake else _ours(row)
        except (KeyError, ValueError, TypeError):
            raise _bad(name, number, line) from None
        found.append(_arrival(name, number, at=at, tokens=tokens, blocks=blocks))
    return _spread(found) if mooncake else found


def _mooncake(row: dict[str, object]) -> tuple[float, tuple[int, int], tuple[int, ...]]:
    at, tokens_in, tokens_out = (_number(row, key) for key in MOONCAKE)
    blocks = tuple(int(block) for block in cast("Iterable[int]", row.get("hash_ids") or ()))
    return at / 1000.0, (int(tokens_in), int(tokens_out)), blocks


def _ours(row: dict[str, object]) -> tuple[float, tuple[int, int], tuple[int, ...]]:
    at, tokens_in, tokens_out = (_number(row, key) for key in OURS)
    return at, (int(tokens_in), int(tokens_out)), ()


def _number(row: dict[str, object], key: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(key)
    return value


def _arrival(
    name: str, number: int, *, at: float, tokens: tuple[int, int], blocks: tuple[int, ...] = ()
) -> Arrival:
    if at < 0 or min(tokens) < 0:
        raise InvalidInput(f"{name}, line {number}: times and lengths must not be negative")
    return Arrival(at=at, tokens_in=max(1, tokens[0]), tokens_out=max(1, tokens[1]), blocks=blocks)


def _spread(arrivals: list[Arrival]) -> list[Arrival]:
    """Spread those that share a stamp of three seconds evenly up to the next stamp."""
    found: list[Arrival] = []
    for at, group in groupby(sorted(arrivals, key=lambda each: each.at), key=lambda each: each.at):
        same = list(group)
        found += [
            replace(each, at=at + STEP_S * place / len(same)) for place, each in enumerate(same)
        ]
    return found


def _bad(name: str, number: int, line: str) -> InvalidInput:
    return InvalidInput(f"{name}, line {number} cannot be read: {line[:SHOWN]!r}; wanted: {KNOWN}")
