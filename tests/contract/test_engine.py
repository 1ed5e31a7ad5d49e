"""What every Engine does and serves; add a driver to ``DRIVERS`` to run the suite on it."""

import importlib.util
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from littoral.app.spawner import Children
from littoral.app.system import environment
from littoral.domain.deployment import Assignment, UpstreamGrant
from littoral.domain.endpoint import Endpoint, EngineSpec, Machine
from littoral.domain.errors import InvalidInput, UpstreamFailed
from littoral.domain.ids import DeploymentName, Digest, UpstreamName
from littoral.domain.model import Artefact, Facts
from littoral.domain.ports import Engine, Instance
from littoral.domain.units import Bytes, Tokens
from littoral.engines.fake import Fake
from littoral.engines.llama_cpp import LlamaCpp
from littoral.engines.openai import OpenAICompatible
from littoral.testing import gguf
from littoral.testing.entropy import SeededEntropy
from littoral.trust.address import verdict

CHILD = (
    "import importlib, sys;"
    "importlib.import_module('littoral.engines.child.' + sys.argv[1])"
    ".main(sys.stdin.buffer.readline())"
)
PROGRAM = (sys.executable, "-c", CHILD)
PASSED = {name: value for name, value in environment().items() if name.startswith("COVERAGE_")}
MACHINE = Machine(cores=2, memory=Bytes(8 << 30), memory_free=Bytes(4 << 30))
HELLO: Mapping[str, Any] = {
    "messages": [{"role": "user", "content": "hello"}],
    "max_tokens": 3,
    "temperature": 0,
}
LONG = HELLO | {
    "messages": [{"role": "user", "content": "[[len=400]] [[slow=1000]]"}],
    "max_tokens": 400,
    "stream": True,
    "ignore_eos": True,
}

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def anyio_backend():
    return "asyncio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """A driver, a spec it can launch, and bad options of it."""

    engine: Engine
    spec: EngineSpec
    bad: Mapping[str, Any]
    process: Callable[[Instance], int]
    ended: Callable[[Instance], Awaitable[str]]


@asynccontextmanager
async def fake(folder: Path) -> AsyncGenerator[Driven]:
    engine = Fake(
        spawner=Children(),
        entropy=SeededEntropy(1),
        logs=str(folder),
        environment=PASSED,
        program=PROGRAM,
    )
    spec = spec_of("fake", options={"tpot_ms": 1, "directives": True})
    bad = {"tpot_ms": "slow", "directives": 3, "nonsense": 1, "ttft_ms": -1}
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


@asynccontextmanager
async def llama_cpp(folder: Path) -> AsyncGenerator[Driven]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("the real engine is not installed: counted as not run")
    engine = LlamaCpp(
        spawner=Children(),
        entropy=SeededEntropy(1),
        logs=str(folder),
        environment=PASSED,
        program=PROGRAM,
    )
    facts = Facts(
        architecture="llama",
        parameters=115_264,
        context=gguf.CONTEXT,
        layers=gguf.LAYERS,
        kv_bytes_per_token=Bytes(1024),
        quantisation="F32",
        has_chat_template=True,
    )
    artefact = Artefact(digest=Digest(f"sha256:{gguf.SHA256}"), size=Bytes(gguf.BYTES), facts=facts)
    spec = spec_of("llama_cpp", artefact=artefact)
    spec = replace(spec, artefact_path=str(gguf.write(folder / "tiny.gguf")))
    bad = {
        "batch": 1,
        "flash_attention": "maybe",
        "cache_prompt": 1,
        "nonsense": 1,
        "threads": True,
    }
    yield Driven(engine=engine, spec=spec, bad=bad, process=own_process, ended=own_end)


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
        bad = {"without": "tools,wings", "nonsense": 1}
        engine = OpenAICompatible(verdict=verdict)
        yield Driven(
            engine=engine,
            spec=spec,
            bad=bad,
            process=lambda _: upstream.pid or 0,
            ended=lambda _: upstream.wait(),
        )


DRIVERS = {"fake": fake, "llama_cpp": llama_cpp, "openai": openai}


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
        context=Tokens(512),
        **more,
    )
    return EngineSpec(assignment=assignment, artefact_path=None, machine=MACHINE, threads=1)


@pytest.fixture(params=sorted(DRIVERS))
async def driven(request: pytest.FixtureRequest, tmp_path) -> AsyncGenerator[Driven]:
    async with DRIVERS[request.param](tmp_path) as driven:
        yield driven


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


async def test_a_bad_option_is_refused_with_what_is_allowed(driven):
    driven.engine.check(driven.spec)
    for name, value in driven.bad.items():
        assignment = replace(driven.spec.assignment, options={name: value})
        with pytest.raises(InvalidInput, match=r"known|must be") as refused:
            driven.engine.check(replace(driven.spec, assignment=assignment))
        assert refused.value.param == f"spec.options.{name}"


@pytest.mark.parametrize("slots", [0, 100_000])
async def test_slots_out_of_range_are_refused(driven, slots):
    assignment = replace(driven.spec.assignment, slots=slots)
    with pytest.raises(InvalidInput, match="slots"):
        driven.engine.check(replace(driven.spec, assignment=assignment))


async def test_a_launched_engine_is_healthy_and_lists_its_model(driven):
    async with driven.engine.launch(driven.spec) as instance:
        assert await instance.healthy()
        assert instance.endpoint.state == "ready"
        assert instance.endpoint.serves == "demo"
        assert instance.endpoint.slots == 1
        async with client_of(instance.endpoint) as client:
            listed = (await client.get("/models")).json()
    assert [model["id"] for model in listed["data"]] == [instance.endpoint.engine_model]


async def test_a_chat_is_answered_whole_with_usage(driven):
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        answer = await client.post("/chat/completions", json=HELLO)
    body = answer.json()
    assert answer.status_code == 200
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["choices"][0]["finish_reason"] in {"stop", "length"}
    assert 0 < body["usage"]["completion_tokens"] <= 3
    assert body["usage"]["prompt_tokens"] > 0


async def test_a_stream_ends_with_usage_in_an_event_of_its_own(driven):
    asked = HELLO | {"stream": True, "stream_options": {"include_usage": True}}
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        events = events_of((await client.post("/chat/completions", json=asked)).text)
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    assert events[-2]["choices"][0]["finish_reason"] in {"stop", "length"}
    assert events[-1]["choices"] == []
    assert 0 < events[-1]["usage"]["completion_tokens"] <= 3


async def test_a_completion_is_answered_whole_and_as_a_stream(driven):
    asked = {"prompt": "hello", "max_tokens": 3}
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        whole = (await client.post("/completions", json=asked)).json()
        events = events_of((await client.post("/completions", json=asked | {"stream": True})).text)
    assert whole["object"] == "text_completion"
    assert whole["usage"]["completion_tokens"] <= 3
    assert events[-1]["choices"][0]["finish_reason"] in {"stop", "length"}


async def test_a_client_that_leaves_gives_its_slot_back(driven):
    async with driven.engine.launch(driven.spec) as instance:
        async with (
            client_of(instance.endpoint) as leaver,
            leaver.stream("POST", "/chat/completions", json=LONG) as answer,
        ):
            async for _ in answer.aiter_bytes():
                break
        async with client_of(instance.endpoint) as client:
            assert (await client.post("/chat/completions", json=HELLO)).status_code == 200


async def test_nothing_but_health_answers_without_the_key(driven):
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint, key="wrong") as client,
    ):
        assert (await client.get("/models")).status_code == 401
        assert (await client.post("/chat/completions", json=HELLO)).status_code == 401


async def test_a_killed_engine_says_so_and_can_be_launched_again(driven):
    async with driven.engine.launch(driven.spec) as instance:
        os.kill(driven.process(instance), signal.SIGKILL)
        await driven.ended(instance)
        assert not await instance.healthy()
        if instance.pid is None:
            assert "does not answer" in instance.endpoint.reason
            return
        assert "killed by signal 9" in await instance.wait()
    async with driven.engine.launch(driven.spec) as again:
        assert await again.healthy()


async def test_capabilities_are_those_a_probe_finds(driven):
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    shaped = HELLO | {
        "max_tokens": 60,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    async with (
        driven.engine.launch(driven.spec) as instance,
        client_of(instance.endpoint) as client,
    ):
        offered = set(instance.endpoint.capabilities)
        answer = (await client.post("/chat/completions", json=shaped)).json()
        certain = (await client.post("/chat/completions", json=HELLO | {"logprobs": True})).json()
    assert {"chat", "completions", "stream", "json_schema", "logprobs"} <= offered
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["a"], bool)
    assert certain["choices"][0]["logprobs"]["content"][0]["logprob"] < 0


async def test_an_upstream_that_refuses_the_credential_is_said_so(tmp_path):
    async with openai(tmp_path) as driven:
        grant = driven.spec.assignment.upstream
        assert grant is not None
        wrong = replace(driven.spec.assignment, upstream=replace(grant, credential="wrong"))
        with pytest.raises(UpstreamFailed, match="refuses the credential"):
            async with driven.engine.launch(replace(driven.spec, assignment=wrong)):
                pass


async def test_weights_that_cannot_be_loaded_end_with_the_log(tmp_path):
    async with llama_cpp(tmp_path) as driven:
        broken = tmp_path / "broken.gguf"
        broken.write_bytes(b"GGUF" + bytes(100))
        with pytest.raises(UpstreamFailed, match=r"exited with code 1; its log ends: .*load"):
            async with driven.engine.launch(replace(driven.spec, artefact_path=str(broken))):
                pass
