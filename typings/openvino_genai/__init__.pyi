# What Littoral uses of OpenVINO GenAI; it is not installed where types are checked.
import enum
from collections.abc import Mapping, Sequence

from openvino import Tensor  # noqa: TID253  these are types, nothing is loaded

class SchedulerConfig:
    cache_size: int
    max_num_seqs: int
    enable_prefix_caching: bool

class GenerationConfig:
    apply_chat_template: bool
    max_new_tokens: int
    do_sample: bool
    temperature: float
    top_p: float
    top_k: int
    rng_seed: int
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float

class _FinishReason(enum.IntEnum): ...
class _Status(enum.IntEnum): ...

class _Output:
    generated_ids: list[int]
    finish_reason: _FinishReason

class _Handle:
    def can_read(self) -> bool: ...
    def read(self) -> dict[int, _Output]: ...
    def cancel(self) -> None: ...
    def get_status(self) -> _Status: ...

class TokenizedInputs:
    input_ids: Tensor

class Tokenizer:
    chat_template: str
    def encode(self, text: str, *, add_special_tokens: bool) -> TokenizedInputs: ...
    def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str: ...
    def apply_chat_template(
        self,
        history: Sequence[Mapping[str, str]],
        *,
        add_generation_prompt: bool,
        chat_template: str,
    ) -> str: ...

class ContinuousBatchingPipeline:
    def __init__(
        self,
        models_path: str,
        scheduler_config: SchedulerConfig,
        device: str,
        properties: Mapping[str, int],
    ) -> None: ...
    def get_tokenizer(self) -> Tokenizer: ...
    def add_request(
        self, request_id: int, input_ids: Tensor, generation_config: GenerationConfig
    ) -> _Handle: ...
    def has_non_finished_requests(self) -> bool: ...
    def step(self) -> None: ...
