# What Littoral uses of the native module, which brings no types.
import enum

class llama_flash_attn_type(enum.IntEnum):  # noqa: N801  the library's name
    LLAMA_FLASH_ATTN_TYPE_AUTO = -1
    LLAMA_FLASH_ATTN_TYPE_DISABLED = 0
    LLAMA_FLASH_ATTN_TYPE_ENABLED = 1

class CommonParamsModel:
    path: str

class CommonParams:
    model: CommonParamsModel
    cpuparams: object
    cpuparams_batch: object

class Server:
    listening_address: str
    def __init__(self, params: CommonParams) -> None: ...
