"""Embed: sentence encoders in ONNX, for embeddings and reranking, in a process of their own."""

from collections.abc import Mapping, Sequence
from typing import final

from littoral.domain.endpoint import Capability, EngineSpec
from littoral.domain.errors import InvalidInput
from littoral.domain.units import Tokens
from littoral.engines.process import Allowed, Offer, ProcessDriver, Told, artefact_of

SLOTS = 4
CONTEXT = 512
"""Most tokens of one text where the weights do not say."""
TOKENIZER = "tokenizer.json"
CAPABILITIES: Sequence[Capability] = ("embeddings", "rerank", "score", "tokenize")

OPTIONS: Mapping[str, Allowed] = {
    "threads": (1, 512),
    "pooling": ("mean", "cls"),
    "normalise": bool,
    "matryoshka": bool,
}


@final
class Embed(ProcessDriver):
    """The driver of engine ``embed``."""

    kind = "embed"
    libraries = ("onnxruntime", "tokenizers")
    extra = "embed"
    options = OPTIONS

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        super().check(spec)
        if TOKENIZER not in spec.files:
            text = f"engine embed needs the file {TOKENIZER!r} beside the weights"
            raise InvalidInput(text, param="spec.model")
        most = artefact_of(spec).facts.context
        context = spec.assignment.context
        if most and context is not None and not 1 <= context <= most:
            text = f"context must be 1 to {most}, what the model was trained for; not {context}"
            raise InvalidInput(text, param="spec.context")

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""
        return {
            "tokenizer": spec.files[TOKENIZER],
            "context": _context(spec),
            "spin": spec.spin,
        }

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says."""
        del told
        return Offer(
            capabilities=tuple(CAPABILITIES),
            slots=spec.assignment.slots or SLOTS,
            context=_context(spec),
        )


def _context(spec: EngineSpec) -> Tokens:
    return spec.assignment.context or Tokens(artefact_of(spec).facts.context or CONTEXT)
