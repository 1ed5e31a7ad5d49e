"""OpenVino: GGUF models on the CPU by OpenVINO GenAI, in a process of its own."""

from collections.abc import Mapping
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
CONTEXT = 4096
"""Tokens of one request where none are given; never more than the model was trained for."""
OPTIONS: Mapping[str, Allowed] = {"threads": (1, 512), "cache_gb": (1, 256)}


@final
class OpenVino(ProcessDriver):
    """The driver of engine ``openvino``."""

    kind = "openvino"
    libraries = ("openvino_genai",)
    extra = "openvino"
    options = OPTIONS

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        super().check(spec)
        check_context(spec)

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""
        return {
            "slots": spec.assignment.slots or SLOTS,
            "context": _context(spec),
            "template": artefact_of(spec).chat_template or "",
        }

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says.

        Schemas are left out: the library fails every request, not one, where a schema is wrong.
        """
        found: list[Capability] = ["completions", "stream", "tokenize"]
        if told.get("chat"):
            found.append("chat")
        return Offer(
            capabilities=tuple(found),
            slots=spec.assignment.slots or SLOTS,
            context=_context(spec),
        )


def _context(spec: EngineSpec) -> Tokens:
    given = spec.assignment.context
    return given or Tokens(min(CONTEXT, artefact_of(spec).facts.context or CONTEXT))
