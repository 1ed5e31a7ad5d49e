"""Whisper: speech to text by CTranslate2, in a process of its own."""

from collections.abc import Mapping
from typing import final

from littoral.domain.endpoint import Capability, EngineSpec
from littoral.domain.errors import InvalidInput
from littoral.domain.units import Tokens
from littoral.engines.process import Allowed, Offer, ProcessDriver, Told, artefact_of

SLOTS = 4
NEEDED = ("config.json", "tokenizer.json")
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
OPTIONS: Mapping[str, Allowed] = {
    "threads": (1, 512),
    "beam": (1, 16),
    "compute": ("int8", "float32"),
    "seconds_max": (1, 14_400),
    "vad": bool,
}


@final
class Whisper(ProcessDriver):
    """The driver of engine ``whisper``."""

    kind = "whisper"
    libraries = ("faster_whisper",)
    extra = "speech"
    options = OPTIONS

    def check(self, spec: EngineSpec) -> None:
        """Raise ``InvalidInput`` where a field or option is wrong, naming what is allowed."""
        super().check(spec)
        missing = [name for name in NEEDED if name not in spec.files]
        if not any(name in spec.files for name in VOCABULARIES):
            missing.append(" or ".join(VOCABULARIES))
        if missing:
            text = f"engine whisper needs {', '.join(missing)} beside the weights"
            raise InvalidInput(text, param="spec.model")

    def start_of(self, spec: EngineSpec) -> Mapping[str, object]:
        """What the process is told beside the deployment's options."""
        return {"files": dict(spec.files)}

    def offer_of(self, spec: EngineSpec, told: Told) -> Offer:
        """What it offers, from what was asked for and what it says."""
        found: list[Capability] = ["transcriptions", "stream"]
        if told.get("multilingual"):
            found.append("translations")
        return Offer(
            capabilities=tuple(found),
            slots=spec.assignment.slots or SLOTS,
            context=Tokens(artefact_of(spec).facts.context),
        )
