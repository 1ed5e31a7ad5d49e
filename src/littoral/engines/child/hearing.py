"""Hearing: what is asked of speech to text, read from the form it came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from littoral.domain.errors import InvalidInput
from littoral.engines.child.host import Fault
from littoral.trust.form import Part, parse

Task: TypeAlias = Literal["transcribe", "translate"]

PROMPT_MAX = 4096
FORMATS = ("json", "verbose_json")
FIELDS = frozenset(
    {
        *("file", "model", "language", "prompt", "response_format", "temperature", "stream"),
        *("timestamp_granularities", "timestamp_granularities[]"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, read and checked."""

    file: bytes
    task: Task
    language: str | None
    prompt: str | None
    temperature: float
    verbose: bool
    words: bool
    segments: bool
    streamed: bool


def read_form(body: bytes, *, task: Task) -> Ask:
    """Read a form with a file of sound.

    Raises:
        Fault: It is no such form, or a field of it is wrong.
    """
    try:
        parts = parse(body)
        files = [part for part in parts if part.name == "file"]
        fields = {part.name: part.text for part in parts if part.name != "file"}
    except InvalidInput as error:
        raise Fault(error.message, param=error.param) from error
    strange = sorted({part.name for part in parts} - FIELDS)
    if strange:
        raise Fault(f"{strange[0]!r} is no field; known: {', '.join(sorted(FIELDS))}")
    if len(files) != 1:
        raise Fault("the form needs one file of sound", param="file")
    kinds = _kinds(parts)
    streamed = _choice(fields, "stream", ("false", "true")) == "true"
    verbose = _choice(fields, "response_format", FORMATS) == "verbose_json"
    if streamed and (verbose or task == "translate"):
        raise Fault("only transcriptions as json are streamed", param="stream")
    return Ask(
        file=files[0].data,
        task=task,
        language=fields.get("language") or None,
        prompt=fields.get("prompt", "")[:PROMPT_MAX] or None,
        temperature=_temperature(fields),
        verbose=verbose,
        words="word" in kinds,
        segments=kinds != {"word"},
        streamed=streamed,
    )


def _kinds(parts: Sequence[Part]) -> set[str]:
    kinds = {part.text for part in parts if part.name.startswith("timestamp_granularities")}
    if not kinds <= {"word", "segment"}:
        text = "timestamp_granularities must be word or segment"
        raise Fault(text, param="timestamp_granularities")
    return kinds


def _choice(fields: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    value = fields.get(name, allowed[0])
    if value not in allowed:
        raise Fault(f"{name} must be one of {', '.join(allowed)}; not {value!r}", param=name)
    return value


def _temperature(fields: Mapping[str, str]) -> float:
    try:
        value = float(fields.get("temperature", "0"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Fault("temperature must be a number from 0 to 1", param="temperature")
    return value
