# What Littoral uses of the native module, which brings no types.
import enum

class llama_flash_attn_type(enum.IntEnum):  # noqa: N801  the library's name
    LLAMA_FLASH_ATTN_TYPE_AUTO = -1
    LLAMA_FLASH_ATTN_TYPE_DISABLED = 0
    LLAMA_FLASH_ATTN_TYPE_ENABLED = 1

class llama_pooling_type(enum.IntEnum):  # noqa: N801  the library's name
    LLAMA_POOLING_TYPE_UNSPECIFIED = -1
    LLAMA_POOLING_TYPE_MEAN = 1
    LLAMA_POOLING_TYPE_CLS = 2
    LLAMA_POOLING_TYPE_LAST = 3
    LLAMA_POOLING_TYPE_RANK = 4

class common_speculative_type(enum.IntEnum):  # noqa: N801  the library's name
    COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE = ...

class CommonAdapterLoraInfo:
    def __init__(self, path: str, scale: float) -> None: ...

class CommonParamsSpeculative:
    types: list[common_speculative_type]

class CommonParamsModel:
    path: str

class CommonParams:
    model: CommonParamsModel
    speculative: CommonParamsSpeculative
    lora_adapters: list[CommonAdapterLoraInfo]
    cpuparams: object
    cpuparams_batch: object

class Server:
    listening_address: str
    def __init__(self, params: CommonParams) -> None: ...
