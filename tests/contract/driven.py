"""Every driver of an engine, as the suites run them: add one to ``DRIVERS``."""

import importlib.util
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contract.weights import obtained
from littoral.app.spawner import Children
from littoral.app.system import environment
from littoral.domain.deployment import Assignment, UpstreamGrant
from littoral.domain.endpoint import Endpoint, EngineSpec, Machine
from littoral.domain.ids import DeploymentName, Digest, UpstreamName
from littoral.domain.model import Artefact
from littoral.domain.ports import Engine, Instance
from littoral.domain.units import Bytes, Tokens
from littoral.engines.embed import Embed
from littoral.engines.fake import Fake
from littoral.engines.llama_cpp import LlamaCpp
from littoral.engines.openai import OpenAICompatible
from littoral.engines.openvino import OpenVino
from littoral.engines.whisper import Whisper
from littoral.testing import gguf, onnx
from littoral.testing.entropy import SeededEntropy
from littoral.trust.address import verdict
from littoral.trust.weights import read_weights

CHILD = (
    "import importlib, sys;"
    "importlib.import_module('littoral.engines.child.' + sys.argv[1])"
    ".main(sys.stdin.buffer.readline())"
)
PROGRAM = (sys.executable, "-c", CHILD)
PASSED = {name: value for name, value in environment().items() if name.startswith("COVERAGE_")}
MACHINE = Machine(cores=2, memory=Bytes(8 << 30), memory_free=Bytes(4 << 30))
DIGEST = Digest("sha256:" + "0" * 64)
HELLO: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 3,
    "temperature": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """A driver, a spec it can launch, and bad options of it."""

    engine: Engine
    spec: EngineSpec
    bad: Mapping[str, Any]
    process: Callable[[Instance], int]
    ended: Callable[[Instance], Awaitable[str]]


def world(folder: Path) -> dict[str, Any]:
    return {
        "spawner": Children(),
        "entropy": SeededEntropy(1),
        "logs": str(folder),
        "environment": PASSED,
        "program": PROGRAM,
    }


@asynccontextmanager
async def fake(folder: Path) -> AsyncGenerator[Driven]:
    engine = Fake(**world(folder))
    spec = spec_of("fake", options={"tpot_ms": 1, "directives": True})
    bad = {"tpot_ms": "slow", "directives": 3, "nonsense": 1, "ttft_ms": -1}
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


@asynccontextmanager
async def llama_cpp(
    folder: Path, *, adapter: bool = False, **options: Any
) -> AsyncGenerator[Driven]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the real engine is not installed: counted as not run")
    weights = gguf.write(folder / "tiny.gguf")
    facts = read_weights(memoryview(weights.read_bytes()))
    artefact = Artefact(digest=DIGEST, size=Bytes(gguf.BYTES), facts=facts)
    files = {"much.gguf": str(gguf.write_adapter(folder / "much.gguf"))} if adapter else {}
    spec = spec_of("llama_cpp", artefact=artefact, options=options)
    spec = replace(spec, artefact_path=str(weights), files=files)
    bad = {
        "batch": 1,
        "flash_attention": "maybe",
        "cache_prompt": 1,
        "nonsense": 1,
        "threads": True,
        "task": "sing",
        "pooling": "max",
        "ngram": "yes",
    }
    engine = LlamaCpp(**world(folder))
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


@asynccontextmanager
async def llama_cpp_vectors(folder: Path) -> AsyncGenerator[Driven]:
    async with llama_cpp(folder, task="embed", pooling="mean") as driven:
        yield driven


@asynccontextmanager
async def openai(folder: Path) -> AsyncGenerator[Driven]:
    async with fake(folder) as behind, behind.engine.launch(behind.spec) as upstream:
        address = upstream.endpoint.address
        assert address is not None
        grant = UpstreamGrant(
            name=UpstreamName("far"),
            url=f"http://{address.host}:{address.port}/v1",
            credential=upstream.endpoint.credential,
        )
        spec = spec_of("openai", upstream=grant)
        bad = {"without": "tools,wings", "with": "wings", "exact": "yes", "nonsense": 1}
        engine = OpenAICompatible(verdict=verdict)
        yield Driven(
            engine=engine,
            spec=spec,
            bad=bad,
            process=lambda _: upstream.pid or 0,
            ended=lambda _: upstream.wait(),
        )


@asynccontextmanager
async def embed(folder: Path) -> AsyncGenerator[Driven]:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("the real engine is not installed: counted as not run")
    model, tokenizer = folder / "tiny.onnx", folder / "tokenizer.json"
    facts = read_weights(memoryview(onnx.write(model).read_bytes()))
    artefact = Artefact(digest=DIGEST, size=Bytes(model.stat().st_size), facts=facts)
    spec = spec_of("embed", artefact=artefact, context=Tokens(onnx.CONTEXT))
    spec = replace(
        spec,
        artefact_path=str(model),
        files={"tokenizer.json": str(onnx.write_tokenizer(tokenizer))},
    )
    bad = {"pooling": "max", "normalise": 1, "nonsense": 1, "threads": 0}
    engine = Embed(**world(folder))
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


@asynccontextmanager
async def whisper(folder: Path) -> AsyncGenerator[Driven]:
    if importlib.util.find_spec("faster_whisper") is None:
        pytest.skip("the real engine is not installed: counted as not run")
    spec = await real_spec("whisper", "whisper-tiny-en")
    bad = {"beam": 0, "compute": "int4", "vad": "yes", "nonsense": 1}
    engine = Whisper(**world(folder))
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


@asynccontextmanager
async def openvino(folder: Path) -> AsyncGenerator[Driven]:
    if importlib.util.find_spec("openvino_genai") is None:
        pytest.skip("the real engine is not installed: counted as not run")
    spec = await real_spec("openvino", "smollm2-135m")
    assignment = replace(spec.assignment, context=Tokens(512))
    bad = {"threads": 0, "cache_gb": 0, "nonsense": 1}
    engine = OpenVino(**world(folder))
    yield Driven(
        engine=engine,
        spec=replace(spec, assignment=assignment),
        bad=bad,
        process=own_process,
        ended=own_end,
    )


async def real_spec(engine: Any, name: str) -> EngineSpec:
    """A spec with the weights of the catalogue, which are fetched once."""
    artefact, blobs = await obtained(name)
    spec = spec_of(engine, artefact=artefact, context=None)
    paths = {file.name: blobs.path(file.digest) or "" for file in artefact.files}
    return replace(spec, artefact_path=blobs.path(artefact.digest), files=paths)


DRIVERS = {
    "llama_cpp_vectors": llama_cpp_vectors,
    "fake": fake,
    "llama_cpp": llama_cpp,
    "openai": openai,
    "embed": embed,
    "whisper": whisper,
    "openvino": openvino,
}
CHATTING = (
    "fake",
    "llama_cpp",
    "openai",
    pytest.param("openvino", marks=pytest.mark.slow),
)
EMBEDDING = ("embed", "llama_cpp_vectors")
RANKING = ("embed",)
TOKENIZING = ("embed", "llama_cpp", pytest.param("openvino", marks=pytest.mark.slow))
HEARING = (pytest.param("whisper", marks=pytest.mark.slow),)
REAL = {"whisper", "openvino"}
"""They need weights of the catalogue, and so a package index: run in the slow lane."""


def own_process(instance: Instance) -> int:
    assert instance.pid is not None
    return instance.pid


async def own_end(instance: Instance) -> str:
    return await instance.wait()


def spec_of(engine: Any, **more: Any) -> EngineSpec:
    assignment = Assignment(
        name=DeploymentName("demo"),
        revision=1,
        serves="demo",
        engine=engine,
        model="demo",
        slots=1,
        **({"context": Tokens(512)} | more),
    )
    return EngineSpec(assignment=assignment, artefact_path=None, machine=MACHINE, threads=1)


@asynccontextmanager
async def launched(driven: Driven) -> AsyncGenerator[tuple[Endpoint, httpx2.AsyncClient]]:
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        yield instance.endpoint, client


def client_of(endpoint: Endpoint, *, key: str | None = None) -> httpx2.AsyncClient:
    address = endpoint.address
    assert address is not None
    headers = {"authorization": f"Bearer {endpoint.credential if key is None else key}"}
    url = f"http://{address.host}:{address.port}{address.base}"
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False)


def events_of(text: str) -> list[dict[str, Any]]:
    frames = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert frames[-1] == "[DONE]"
    return [json.loads(frame) for frame in frames[:-1]]
