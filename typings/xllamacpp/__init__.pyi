# What Littoral uses of the native module, which brings no types.
import enum

class llama_flash_attn_type(enum.IntEnum):  # noqa: N801  the library's name
    LLAMA_FLASH_ATTN_TYPE_AUTO = -1
    LLAMA_FLASH_ATTN_TYPE_DISABLED = 0
    LLAMA_FLASH_ATTN_TYPE_ENABLED = 1

class CommonParamsModel:
    path: str

class CpuParams:
    n_threads: int

class CommonParams:
    model: CommonParamsModel
    cpuparams: CpuParams
    cpuparams_batch: CpuParams
    model_alias: set[str]
    api_keys: list[str]
    hostnames: list[str]
    port: int
    n_parallel: int
    n_ctx: int
    kv_unified: bool
    cont_batching: bool
    ctx_shift: bool
    fit_params: bool
    n_gpu_layers: int
    n_threads_http: int
    n_batch: int
    n_ubatch: int
    flash_attn_type: llama_flash_attn_type
    cache_prompt: bool
    cache_ram_mib: int
    warmup: bool
    chat_template: str
    ui: bool
    endpoint_slots: bool
    endpoint_props: bool
    offline: bool
    verbosity: int

class Server:
    listening_address: str
    def __init__(self, params: CommonParams) -> None: ...
