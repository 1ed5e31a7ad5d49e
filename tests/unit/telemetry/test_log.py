"""Log lines: their shape, what they hide, and that they never hurt."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.domain.node import Event
from littoral.domain.units import Micros
from littoral.telemetry.log import Log, scrubbed
from littoral.testing.clock import SettableClock

KEY = "lit-sk-abcdefghij-0123456789abcdefghijklmnopqrstuvwxyzABCDEFG-aB3dEf"


def lines_of(lines: list[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in lines]


def log_to(lines: list[str], level: str = "info") -> Log:
    return Log(lines.append, clock=SettableClock(), role="node", level=level)


def test_a_line_has_the_schemas_names() -> None:
    lines: list[str] = []
    log_to(lines).log("warning", "it happened", {"littoral.count": 3})
    (line,) = lines_of(lines)
    assert line["@timestamp"] == "2027-01-15T08:00:00.000Z"
    assert line["log.level"] == "warning"
    assert (line["message"], line["littoral.count"]) == ("it happened", 3)
    assert line["service.node.role"] == "node"


def test_lower_levels_are_left_out() -> None:
    lines: list[str] = []
    log = log_to(lines, "warning")
    log.log("info", "a")
    log.log("error", "b")
    assert [line["message"] for line in lines_of(lines)] == ["b"]


def test_a_field_that_is_not_listed_is_counted_and_not_shown() -> None:
    lines: list[str] = []
    log_to(lines).log("info", "m", {"prompt": "private", "url.path": "/v1/models"})
    (line,) = lines_of(lines)
    assert "private" not in lines[0]
    assert (line["littoral.fields_hidden"], line["url.path"]) == (1, "/v1/models")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"key {KEY} was used", KEY),
        ("authorization: Bearer abc.def-123", "abc.def-123"),
        ("Authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("https://ada:hunter2@example.org/v1", "hunter2"),
        ('{"api_key": "sk-12345678"}', "sk-12345678"),
        ("password=hunter22", "hunter22"),
        ("POST /x?token=abcdef12&y=1", "abcdef12"),
    ],
)
def test_a_secret_does_not_reach_the_log(text: str, hidden: str) -> None:
    lines: list[str] = []
    log_to(lines).log("info", text, {"error.code": text})
    assert hidden not in lines[0]
    assert "***" in lines[0]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_key_is_hidden_whatever_stands_around_it(before: str, after: str) -> None:
    assert KEY[18:60] not in scrubbed(f"{before} {KEY} {after}")


def test_what_is_no_secret_stays() -> None:
    text = "tokens: 12, the key lit-sk-abcdefghij is revoked; see https://example.org/a@b"
    assert scrubbed(text) == text


def test_an_event_becomes_a_line_with_its_own_time() -> None:
    lines: list[str] = []
    event = Event(
        at_us=Micros(0), level="error", subject="deployment/a", code="engine_failed", message="no"
    )
    log_to(lines).emit(event)
    (line,) = lines_of(lines)
    assert line["@timestamp"] == "1970-01-01T00:00:00.000Z"
    assert line["event.code"] == "engine_failed"


def test_a_writer_that_fails_does_not_hurt_the_one_who_logs() -> None:
    def broken(_line: str) -> None:
        raise OSError("no space left on device")

    Log(broken, clock=SettableClock(), role="node").log("error", "lost")
