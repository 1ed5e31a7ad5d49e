"""Exposition: figures as text in the format that Prometheus reads."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, TypeAlias

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
Kind: TypeAlias = Literal["counter", "gauge"]
Sampled: TypeAlias = tuple[Mapping[str, str], float]
"""Labels, and the value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A metric: its name, what it says, and a value for each set of labels."""

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sampled]


def exposed(families: Iterable[Family]) -> bytes:
    """Render families; those without samples, and samples that are no numbers, are left out."""
    lines = (line for family in families for line in _lines(family))
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(family: Family) -> Iterator[str]:
    samples = [(labels, value) for labels, value in family.samples if isfinite(value)]
    if samples:
        yield f"# HELP {family.name} {_escaped(family.help)}"
        yield f"# TYPE {family.name} {family.kind}"
    for labels, value in samples:
        named = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
        yield f"{family.name}{{{named}}} {value!r}" if named else f"{family.name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
