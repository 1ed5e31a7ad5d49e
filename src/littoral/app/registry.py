"""Drivers and sources by name, loaded on use: a driver's libraries cost nothing until then."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from littoral.domain.child import Spawner
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.ports import Engine, Entropy, Source

Sources: TypeAlias = Mapping[str, Callable[[], Source]]

ENGINES: Mapping[str, str] = {
    "embed": "littoral.engines.embed:Embed",
    "fake": "littoral.engines.fake:Fake",
    "llama_cpp": "littoral.engines.llama_cpp:LlamaCpp",
    "openai": "littoral.engines.openai:OpenAICompatible",
    "openvino": "littoral.engines.openvino:OpenVino",
    "whisper": "littoral.engines.whisper:Whisper",
}
CHILDREN: Mapping[str, str] = {
    "embed": "littoral.engines.child.embed:main",
    "fake": "littoral.engines.child.fake:main",
    "llama_cpp": "littoral.engines.child.llama_cpp:main",
    "openvino": "littoral.engines.child.openvino:main",
    "whisper": "littoral.engines.child.whisper:main",
}
"""What ``littoral engine KIND`` runs, for the kinds that have a process."""
SOURCES: Mapping[str, str] = {"sources": "littoral.app.sources:sources"}
"""What makes the table of model sources, with its HTTP client: only who obtains models loads it."""
EXTRAS: Mapping[str, str] = {
    "av": "speech",
    "faster_whisper": "speech",
    "numpy": "embed",
    "onnxruntime": "embed",
    "openvino": "openvino",
    "openvino_genai": "openvino",
    "tokenizers": "embed",
    "xllamacpp": "llama",
}
"""Which extra of the package brings a library."""


NEEDED: Mapping[str, tuple[str, ...]] = {
    "embed": ("numpy", "onnxruntime", "tokenizers"),
    "fake": (),
    "llama_cpp": ("xllamacpp",),
    "openai": (),
    "openvino": ("openvino", "openvino_genai"),
    "whisper": ("av", "faster_whisper"),
}
"""What must be installed for each kind of engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWorld:
    """What drivers are made of: each takes what it needs.

    ``verdict`` judges the addresses of upstreams; ``environment`` is passed to engine processes.
    """

    spawner: Spawner
    entropy: Entropy
    logs: str
    environment: Mapping[str, str]
    verdict: Callable[..., str | None]


class Drivers:
    """The port ``Registry``: makes each driver once, on first use.

    Args:
        world: What drivers are made of.
        sources: Makes the table of model sources; called on the first use of one.
    """

    def __init__(self, world: EngineWorld, *, sources: Callable[[], Sources]) -> None:
        self._world = world
        self._make_sources = sources
        self._sources: Sources = {}
        self._engines: dict[str, Engine] = {}

    def engine(self, kind: str) -> Engine:
        """The driver of a kind."""
        if kind not in self._engines:
            self._engines[kind] = self._made(kind)
        return self._engines[kind]

    def source(self, scheme: str) -> Source:
        """The source of a scheme."""
        self._sources = self._sources or self._make_sources()
        if scheme not in self._sources:
            raise _unknown("source", scheme, self._sources)
        return self._sources[scheme]()

    def _made(self, kind: str) -> Engine:
        world = self._world
        driver = cast("Callable[..., Engine]", load(ENGINES, kind, what="engine"))
        if kind == "openai":
            return driver(verdict=world.verdict)
        return driver(
            spawner=world.spawner,
            entropy=world.entropy,
            logs=world.logs,
            environment=world.environment,
        )


def installed() -> tuple[str, ...]:
    """The kinds of engines whose libraries are here; none of them is loaded to find out."""
    return tuple(
        kind
        for kind, needed in NEEDED.items()
        if all(importlib.util.find_spec(name) is not None for name in needed)
    )


def load(table: Mapping[str, str], name: str, *, what: str) -> object:
    """Import what a table names.

    Raises:
        UnknownName: The table has no such name; the message lists the known ones.
        InvalidInput: It needs an extra that is not installed; the message names it.
    """
    try:
        module, _, attribute = table[name].partition(":")
    except KeyError:
        raise _unknown(what, name, table) from None
    try:
        return cast("object", getattr(importlib.import_module(module), attribute))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        raise InvalidInput(
            f"{what} {name!r} needs an extra: pip install 'littoral[{extra}]'"
        ) from error


def _unknown(what: str, name: str, known: Mapping[str, object]) -> UnknownName:
    return UnknownName(f"no {what} named {name!r}; known: {', '.join(sorted(known))}")
