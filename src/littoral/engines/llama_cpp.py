"""LlamaCpp: GGUF models on the CPU, by llama.cpp in a process of its own."""

from collections.abc import Mapping, Sequence
from typing import final

from littoral.domain.endpoint import Capability, EngineSpec
from littoral.domain.units import Tokens
from littoral.engines.process import (
    Allowed,
    Offer,
    ProcessDriver,
    Told,
    artefact_of,
    check_context,
)

SLOTS = 4
CONTEXT_AIM, CONTEXT_MAX = 2048, 8192
CACHE_SHARE = 0.1
"""Part of the free memory that the key-value cache may take where no context is given."""

OPTIONS: Mapping[str, Allowed] = {
    "threads": (1, 512),
    "batch": (32, 8192),
    "micro_batch": (32, 8192),
    "cache_ram_mib": (0, 65_536),
    "cache_reuse": (0, 8192),
    "flash_attention": ("auto", "on", "off"),
    "cache_prompt": bool,
    "ngram": bool,
    "pooling": ("model", "mean", "cls", "last"),
    "task": ("generate", "embed", "rerank"),
    "warmup": bool,
}
ADAPTER = ".gguf"
"""Files of this ending that go with the weights are LoRA adapters."""
PATHS: Mapping[str, str] = {"tokenize": "/tokenize", "detokenize": "/detokenize"}
"""Where they are at llama.cpp's own server."""


@final
class LlamaCpp(ProcessDriver):
    """The driver of engine ``llama_cpp``."""

    kind = "llama_cpp"
    libraries = ("xllamacpp",)
    extra = "llama"
    options = OPTIONS

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        super().check(spec)
        check_context(spec)

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options.

        With adapters, no prompt's cache is kept: the engine would answer a request without one from
        a cache that was made with one.
        """
        adapters = _adapters(spec)
        return {
            **({"cache_prompt": False, "cache_reuse": 0, "cache_ram_mib": 0} if adapters else {}),
            "slots": spec.assignment.slots or SLOTS,
            "context": context_of(spec),
            "template": artefact_of(spec).chat_template or "",
            "adapters": adapters,
        }

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says."""
        return Offer(
            capabilities=_capabilities(spec, told),
            slots=spec.assignment.slots or SLOTS,
            context=context_of(spec),
            paths=PATHS,
        )


def _adapters(spec: EngineSpec) -> Sequence[str]:
    """Paths of the LoRA adapters, in the order in which the model lists them."""
    return [path for name, path in spec.files.items() if name.endswith(ADAPTER)]


def _capabilities(spec: EngineSpec, told: Told) -> tuple[Capability, ...]:
    """What the process found, for the task it has.

    Several choices are left out: the engine then reports the usage of one of them only.
    """
    task = spec.assignment.options.get("task", "generate")
    if task != "generate":
        return ("tokenize", "embeddings" if task == "embed" else "rerank")
    found: list[Capability] = ["tokenize", "completions", "stream"]
    found.extend(("json_schema", "logprobs", "grammar"))
    if told.get("chat"):
        found.extend(("chat", "count_tokens"))
        if told.get("tools"):
            found.append("tools")
    if _adapters(spec):
        found.append("lora")
    return tuple(found)


def context_of(spec: EngineSpec) -> Tokens:
    """Context of one slot: as given, else what the host's memory allows.

    The largest power of two between 2048 and 8192 whose cache, over all slots, takes at most a
    tenth of the free memory; never more than the model was trained for.
    """
    if spec.assignment.context is not None:
        return spec.assignment.context
    facts = artefact_of(spec).facts
    slots = spec.assignment.slots or SLOTS
    room = spec.machine.memory_free * CACHE_SHARE / max(1, slots * facts.kv_bytes_per_token)
    context = CONTEXT_MAX
    while context > CONTEXT_AIM and context > room:
        context //= 2
    return Tokens(min(context, facts.context))
