"""A tiny language model in GGUF, made on the spot: noise, but the same noise everywhere."""

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from littoral.testing.symbols import SYMBOLS, byte_symbols

BYTES = 466_848
SHA256 = "4794944ba1c751018544a7e131bae5c79d55909e40cc303d405bbf017cd4965a"
"""Made with gguf 0.19 and numpy 2.4: a change of either that changes the file is noticed."""
WIDTH, LAYERS, HEADS, FORWARD, CONTEXT = 64, 2, 4, 128, 512
RANK = 4
SPREAD = 0.05
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write(path: str | Path) -> Path:
    """Write a random two-layer llama with a byte-level tokenizer and a ChatML template.

    Returns:
        The file: ``BYTES`` long, its digest ``SHA256``.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(0)
    _add_tokenizer(writer)
    _add_tensors(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def write_adapter(path: str | Path) -> Path:
    """Write a LoRA adapter of the tiny model that changes what it says, much."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    rng = np.random.default_rng(1)
    for layer in range(LAYERS):
        for part in ("lora_a", "lora_b"):
            shape = (RANK, WIDTH) if part == "lora_a" else (WIDTH, RANK)
            values = rng.standard_normal(shape).astype(np.float32)
            writer.add_tensor(f"blk.{layer}.attn_output.weight.{part}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([*byte_symbols(), "<|im_start|>", "<|im_end|>"])
    writer.add_token_types([1] * SYMBOLS + [3] * 2)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(SYMBOLS)
    writer.add_eos_token_id(SYMBOLS + 1)
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(TEMPLATE)


def _add_tensors(writer: gguf.GGUFWriter) -> None:
    rng = np.random.default_rng(0)

    def noise(rows: int, columns: int) -> NDArray[np.float32]:
        return (rng.standard_normal((rows, columns)) * SPREAD).astype(np.float32)

    ones = np.ones(WIDTH, np.float32)
    writer.add_tensor("token_embd.weight", noise(SYMBOLS + 2, WIDTH))
    writer.add_tensor("output_norm.weight", ones)
    writer.add_tensor("output.weight", noise(SYMBOLS + 2, WIDTH))
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", noise(WIDTH, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_gate.weight", noise(FORWARD, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", noise(FORWARD, WIDTH))
        writer.add_tensor(f"blk.{layer}.ffn_down.weight", noise(WIDTH, FORWARD))
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", ones)
        writer.add_tensor(f"blk.{layer}.ffn_norm.weight", ones)
