"""What the driver of llama.cpp decides before anything is started."""

import sys
from dataclasses import replace

import pytest

from littoral.domain.deployment import Assignment
from littoral.domain.endpoint import EngineSpec, Machine
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import DeploymentName, Digest
from littoral.domain.model import Artefact, Facts
from littoral.domain.units import Bytes, Tokens
from littoral.engines.llama_cpp import LlamaCpp, context_of
from littoral.engines.process import thread_environment
from littoral.testing.entropy import SeededEntropy
from littoral.testing.spawner import MemorySpawner

FACTS = Facts(
    architecture="llama",
    parameters=1,
    context=32_768,
    layers=1,
    kv_bytes_per_token=Bytes(10_000),
    quantisation="Q4_1",
    has_chat_template=True,
)
ARTEFACT = Artefact(digest=Digest("sha256:00"), size=Bytes(1), facts=FACTS)
DRIVER = LlamaCpp(spawner=MemorySpawner({}), entropy=SeededEntropy(), logs="/nowhere")


def spec(*, free: int = 1 << 40, spin: bool = False, **more) -> EngineSpec:
    assignment = Assignment(
        name=DeploymentName("d"),
        revision=1,
        serves="d",
        engine="llama_cpp",
        model="m",
        **({"artefact": ARTEFACT} | more),
    )
    machine = Machine(cores=4, memory=Bytes(1 << 40), memory_free=Bytes(free))
    return EngineSpec(
        assignment=assignment, artefact_path="/m.gguf", machine=machine, threads=3, spin=spin
    )


def test_threads_sleep_at_barriers_unless_they_may_spin():
    assert thread_environment(spec()) == {
        "OMP_NUM_THREADS": "3",
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "0",
        "KMP_BLOCKTIME": "0",
    }
    assert thread_environment(spec(spin=True)) == {"OMP_NUM_THREADS": "3"}
    assert thread_environment(spec(options={"threads": 2}))["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize(
    ("free", "more", "context"),
    [
        (1 << 40, {}, 8192),
        (2_000_000_000, {}, 4096),
        (100_000_000, {}, 2048),
        (2_000_000_000, {"slots": 1}, 8192),
        (1 << 40, {"context": Tokens(100)}, 100),
        (1 << 40, {"artefact": replace(ARTEFACT, facts=replace(FACTS, context=512))}, 512),
    ],
)
def test_the_context_of_a_slot_follows_the_memory(free, more, context):
    assert context_of(spec(free=free, **more)) == context


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"artefact": None}, "no weights here yet"),
        ({"context": Tokens(32_769)}, "context must be 64 to 32768"),
        ({"context": Tokens(1)}, "context must be"),
        ({"slots": 0}, "slots must be 1 to 256"),
        ({"slots": 257}, "slots must be"),
        ({"options": {"threads": 0}}, "a whole number from 1 to 512"),
        ({"options": {"threads": "2"}}, "a whole number"),
        ({"options": {"flash_attention": "yes"}}, "one of auto, on, off"),
        ({"options": {"cache_prompt": "on"}}, "true or false"),
        ({"options": {"mmap": True}}, "known: batch, cache_prompt, cache_ram_mib"),
    ],
)
def test_what_is_out_of_range_is_refused_with_what_is_allowed(more, error):
    pytest.importorskip("xllamacpp", reason="the real engine is not installed")
    with pytest.raises(InvalidInput, match=error):
        DRIVER.check(spec(**more))


def test_a_missing_engine_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InvalidInput, match=r"pip install 'littoral\[llama\]'"):
        DRIVER.check(spec())
