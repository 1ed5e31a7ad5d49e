"""Logs: one JSON object a line, with Elastic Common Schema names, known fields and no secrets."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from littoral.domain.node import Event
from littoral.domain.ports import Clock

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Value: TypeAlias = str | int | float | bool | None
LEVELS: Mapping[str, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
ECS_VERSION = "8.17"
FIELDS = frozenset(
    {
        "error.code",
        "error.stack_trace",
        "event.action",
        "event.code",
        "event.duration",
        "http.request.method",
        "http.response.status_code",
        "littoral.count",
        "littoral.deployment",
        "littoral.endpoint",
        "littoral.node",
        "littoral.request",
        "littoral.snapshot",
        "littoral.subject",
        "process.pid",
        "url.path",
    }
)
"""Every field a log line may have besides its head; prompts, answers and keys have none."""
LONGEST = 8192
"""Characters of one value; what is longer is cut."""
SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"lit-sk-([a-z2-7]{10})-[0-9A-Za-z-]+"), r"lit-sk-\1-***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;\"']+"), r"\1 ***"),
    (re.compile(r"(?i)(://)[^/@\s:]+:[^/@\s]+@"), r"\1***@"),
    (
        re.compile(
            r"(?i)\b(api[-_]?key|authorization|password|secret|token)([\"']?\s*[=:]\s*"
            r"[\"']?)(?!(?:bearer|basic)\b)[^\s,;&\"']{4,}"
        ),
        r"\1\2***",
    ),
)


def scrubbed(text: str) -> str:
    """``text`` without keys, bearer values and passwords."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class Log:
    """Writer of log lines, and the ``Sink`` of events.

    Args:
        write: Takes each line; it may fail, the caller never sees it.
        clock: Dates the lines.
        role: Which process writes.
        level: The least level written.
    """

    def __init__(
        self, write: Callable[[str], object], *, clock: Clock, role: str, level: Level = "info"
    ) -> None:
        self._write = write
        self._clock = clock
        self._role = role
        self._least = LEVELS[level]

    def emit(self, event: Event) -> None:
        """Take one event; never blocks for long, never raises."""
        fields = {"event.code": event.code, "littoral.subject": event.subject}
        self.log(event.level, event.message, fields, at_us=event.at_us)

    def log(
        self,
        level: Level,
        message: str,
        fields: Mapping[str, Value] | None = None,
        *,
        at_us: int | None = None,
    ) -> None:
        """Write one line; fields that are not in ``FIELDS`` are counted, not shown."""
        if LEVELS[level] < self._least:
            return
        given = fields or {}
        wall = self._clock.wall() if at_us is None else at_us
        at = datetime.fromtimestamp(wall / 1e6, UTC)
        line: dict[str, Value] = {
            "@timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "log.level": level,
            "message": _shown(message),
            "ecs.version": ECS_VERSION,
            "service.name": "littoral",
            "service.node.role": self._role,
        }
        line |= {name: _clean(value) for name, value in given.items() if name in FIELDS}
        if hidden := sum(name not in FIELDS for name in given):
            line["littoral.fields_hidden"] = hidden
        try:
            self._write(json.dumps(line, ensure_ascii=False) + "\n")
        except (OSError, ValueError):
            return  # a full disk or a closed stream must not stop the one who logs


def _clean(value: Value) -> Value:
    return _shown(value) if isinstance(value, str) else value


def _shown(text: str) -> str:
    return scrubbed(text[:LONGEST])
