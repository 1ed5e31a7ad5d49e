"""LlamaCpp: GGUF models on the CPU, by llama.cpp in a process of its own."""

from collections.abc import Mapping
from typing import final

from littoral.domain.endpoint import Capability, EngineSpec
from littoral.domain.errors import InvalidInput
from littoral.domain.units import Tokens
from littoral.engines.process import Allowed, Offer, ProcessDriver, Told, artefact_of

SLOTS = 4
CONTEXT_MIN, CONTEXT_AIM, CONTEXT_MAX = 64, 2048, 8192
CACHE_SHARE = 0.1
"""Part of the free memory that the key-value cache may take where no context is given."""

OPTIONS: Mapping[str, Allowed] = {
    "threads": (1, 512),
    "batch": (32, 8192),
    "micro_batch": (32, 8192),
    "cache_ram_mib": (0, 65_536),
    "flash_attention": ("auto", "on", "off"),
    "cache_prompt": bool,
    "warmup": bool,
}


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
        trained = artefact_of(spec).facts.context
        context = spec.assignment.context
        if context is not None and not CONTEXT_MIN <= context <= trained:
            text = f"context must be {CONTEXT_MIN} to {trained}, what the model was trained for"
            raise InvalidInput(f"{text}; not {context}", param="spec.context")

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""
        return {
            "slots": spec.assignment.slots or SLOTS,
            "context": context_of(spec),
            "template": artefact_of(spec).chat_template or "",
        }

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says.

        Several choices are left out: the engine then reports the usage of one of them only.
        """
        found: list[Capability] = ["completions", "stream", "json_schema", "logprobs"]
        if told.get("chat"):
            found.append("chat")
            if told.get("tools"):
                found.append("tools")
        return Offer(
            capabilities=tuple(found),
            slots=spec.assignment.slots or SLOTS,
            context=context_of(spec),
        )


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
