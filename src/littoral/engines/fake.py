"""Fake: an engine without weights, for tests, conformance and trying things out."""

from collections.abc import Mapping
from typing import cast, final, get_args

from littoral.domain.endpoint import Capability, EngineSpec
from littoral.domain.errors import InvalidInput
from littoral.domain.units import Seconds, Tokens
from littoral.engines.process import Allowed, Offer, ProcessDriver, Told

SLOTS = 8
CONTEXT = Tokens(8192)
LACKS = frozenset({"count_tokens", "grammar", "lora"})
CAPABILITIES: tuple[Capability, ...] = tuple(
    each for each in cast("tuple[Capability, ...]", get_args(Capability)) if each not in LACKS
)
OPTIONS: Mapping[str, Allowed] = {
    "directives": bool,
    "ttft_ms": (0.0, 60_000.0),
    "tpot_ms": (0.0, 60_000.0),
}


@final
class Fake(ProcessDriver):
    """The driver of engine ``fake``."""

    kind = "fake"
    libraries = ()
    extra = ""
    options = OPTIONS
    slots_max = 4096
    ready_s = Seconds(30.0)

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        super().check(spec)
        context = spec.assignment.context
        if context is not None and not 16 <= context <= 10_000_000:
            raise InvalidInput("context must be 16 to 10000000", param="spec.context")

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""
        assignment = spec.assignment
        context = assignment.context or CONTEXT
        return {
            "slots": assignment.slots or SLOTS,
            "context": context,
            "max_tokens": assignment.max_tokens or context,
        }

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, whatever it says."""
        del told
        assignment = spec.assignment
        return Offer(
            capabilities=CAPABILITIES,
            slots=assignment.slots or SLOTS,
            context=assignment.context or CONTEXT,
        )
