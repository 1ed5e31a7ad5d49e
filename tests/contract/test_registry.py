"""The suite for Registry: drivers by kind and sources by scheme, loaded on use."""

import sys

import pytest

from littoral.app.registry import Drivers, EngineWorld, load
from littoral.domain.deployment import EngineKind
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.ports import Engine, Registry
from littoral.testing.entropy import SeededEntropy
from littoral.testing.spawner import MemorySpawner

KINDS = EngineKind.__args__


class NoSource:
    """Stands for the source of one scheme."""


@pytest.fixture
def registry(tmp_path) -> Registry:
    world = EngineWorld(
        spawner=MemorySpawner({}),
        entropy=SeededEntropy(1),
        logs=str(tmp_path),
        environment={},
        verdict=lambda *_: None,
    )
    return Drivers(world, sources=lambda: {"file": NoSource})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_that_may_be_declared_has_a_driver(registry, kind):
    driver: Engine = registry.engine(kind)
    assert callable(driver.check)
    assert registry.engine(kind) is driver


def test_an_unknown_kind_is_refused_with_the_known_ones(registry):
    with pytest.raises(UnknownName, match=r"'vllm'.*fake, llama_cpp, openai"):
        registry.engine("vllm")


def test_a_missing_library_is_refused_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InvalidInput, match=r"littoral\[llama\]"):
        load({"llama_cpp": "xllamacpp:Server"}, "llama_cpp", what="engine")


def test_a_source_is_found_by_its_scheme(registry):
    assert isinstance(registry.source("file"), NoSource)
    with pytest.raises(UnknownName, match=r"'gopher'.*file"):
        registry.source("gopher")
