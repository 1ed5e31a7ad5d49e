"""The llama.cpp engine's process: hosts its own HTTP server on loopback."""

import http.client
import os
import sys
from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
import xllamacpp

from littoral.engines.child.host import announce, own_output
from littoral.engines.child.lifeline import tie

FLASH = {"auto": -1, "off": 0, "on": 1}
PROPS_S = 30.0
Task: TypeAlias = Literal["generate", "embed", "rerank"]
Pooling: TypeAlias = Literal["model", "mean", "cls", "last"]
POOLINGS = {"model": -1, "mean": 1, "cls": 2, "last": 3}
RANK = 4
NGRAM = xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE
SPARE_THREADS = 8
"""Connections beyond the slots that the engine may hold: those that wait, and probes."""


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input. ``context`` is that of one slot."""

    parent: int
    key: str
    model: str
    alias: str
    slots: int
    context: int
    threads: int
    template: str = ""
    batch: int = 2048
    micro_batch: int = 512
    flash_attention: str = "auto"
    cache_prompt: bool = True
    cache_ram_mib: int = 0
    warmup: bool = True
    task: Task = "generate"
    pooling: Pooling = "model"
    ngram: bool = False
    cache_reuse: int = 0
    adapters: list[str] = []


class Abilities(msgspec.Struct):
    """What the engine says of its chat template."""

    supports_tools: bool = False


class Props(msgspec.Struct):
    """The part of the engine's properties that we read."""

    chat_template: str = ""
    chat_template_caps: Abilities = msgspec.field(default_factory=Abilities)


def main(line: bytes) -> None:
    """Load the model, say the port, and serve until standard input ends.

    Args:
        line: The parent's one line, a ``Start`` as JSON.
    """
    start = msgspec.json.decode(line, type=Start)
    tie(start.parent)
    ready = own_output()
    try:
        server = xllamacpp.Server(_params(start))
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    place = urlsplit(server.listening_address)
    props = _props(place.hostname or "", place.port or 0, key=start.key)
    report = {
        "port": place.port,
        "chat": bool(props.chat_template),
        "tools": props.chat_template_caps.supports_tools,
    }
    announce(ready, report)
    sys.stdin.buffer.read()
    os._exit(0)  # its threads have no clean end that was found to be safe


def _params(start: Start) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = start.model
    for cpu in (params.cpuparams, params.cpuparams_batch):
        _set(cpu, {"n_threads": start.threads})
    _set(params, _settings(start))
    if start.task != "generate":
        _set(params, _encoding(start))
    if start.ngram:
        params.speculative.types = [NGRAM]
    adapter = xllamacpp.CommonAdapterLoraInfo
    params.lora_adapters = [adapter(path, 0.0) for path in start.adapters]
    return params


def _set(target: object, settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        setattr(target, name, value)


def _settings(start: Start) -> Mapping[str, object]:
    """Parameters by the library's names; the cache is divided evenly between the slots."""
    return {
        "model_alias": {start.alias},
        "api_keys": [start.key],
        "hostnames": ["127.0.0.1"],
        "port": 0,
        "n_parallel": start.slots,
        "n_ctx": start.slots * start.context,
        "kv_unified": False,
        "cont_batching": True,
        "ctx_shift": False,
        "fit_params": False,
        "n_gpu_layers": 0,
        "n_threads_http": start.slots + SPARE_THREADS,
        "n_batch": start.batch,
        "n_ubatch": min(start.micro_batch, start.batch),
        "flash_attn_type": xllamacpp.llama_flash_attn_type(FLASH[start.flash_attention]),
        "cache_prompt": start.cache_prompt,
        "n_cache_reuse": start.cache_reuse,
        "lora_init_without_apply": True,
        "cache_ram_mib": start.cache_ram_mib,
        "warmup": start.warmup,
        "chat_template": start.template,
        "ui": False,
        "endpoint_slots": False,
        "endpoint_props": False,
        "offline": True,
        "verbosity": 1,
    }


def _encoding(start: Start) -> Mapping[str, object]:
    """Parameters of a model that gives vectors: a text is taken at one time, as a whole."""
    pooling = RANK if start.task == "rerank" else POOLINGS[start.pooling]
    return {
        "embedding": True,
        "pooling_type": xllamacpp.llama_pooling_type(pooling),
        "n_batch": start.slots * start.context,
        "n_ubatch": start.context,
    }


def _props(host: str, port: int, *, key: str) -> Props:
    connection = http.client.HTTPConnection(host, port, timeout=PROPS_S)
    try:
        connection.request("GET", "/props", headers={"Authorization": f"Bearer {key}"})
        return msgspec.json.decode(connection.getresponse().read(), type=Props)
    finally:
        connection.close()
