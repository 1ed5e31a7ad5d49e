"""Drivers and sources by name."""

import pytest

from littoral.app.registry import CHILDREN, ENGINES, SOURCES, Drivers, EngineWorld, load
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.testing.entropy import SeededEntropy
from littoral.testing.spawner import MemorySpawner


def drivers(sources=dict) -> Drivers:
    world = EngineWorld(
        spawner=MemorySpawner({}),
        entropy=SeededEntropy(),
        logs="/tmp",  # noqa: S108  nothing is written
        environment={},
        verdict=lambda _address, **_networks: None,
    )
    return Drivers(world, sources=sources)


@pytest.mark.parametrize("kind", sorted(ENGINES))
def test_a_driver_is_made_once_and_can_check_and_launch(kind: str) -> None:
    registry = drivers()
    engine = registry.engine(kind)
    assert engine is registry.engine(kind)
    assert callable(engine.check)
    assert callable(engine.launch)


def test_an_unknown_driver_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownName,
        match="no engine named 'vllm'; known: embed, fake, llama_cpp, openai, openvino, whisper",
    ):
        drivers().engine("vllm")


def test_sources_are_made_on_first_use() -> None:
    made: list[str] = []

    def sources():
        made.append("table")
        return {"file": lambda: made.append("file")}

    registry = drivers(sources)
    assert made == []
    registry.source("file")
    registry.source("file")
    assert made == ["table", "file", "file"]
    with pytest.raises(UnknownName, match="no source named 'ftp'; known: file"):
        registry.source("ftp")


@pytest.mark.parametrize(("table", "name"), [(CHILDREN, "fake"), (SOURCES, "sources")])
def test_what_a_table_names_is_there(table, name: str) -> None:
    assert callable(load(table, name, what="entry"))


def test_a_missing_extra_is_named() -> None:
    absent = {"x": "xllamacpp_that_is_absent:Driver"}
    with pytest.raises(ModuleNotFoundError):
        load(absent, "x", what="engine")
    with pytest.raises(InvalidInput, match=r"pip install 'littoral\[llama\]'"):
        load({"x": "xllamacpp.absent.part:Driver"}, "x", what="engine")
