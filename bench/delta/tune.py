"""Make a really fine-tuned pair of models: parent, child and a LoRA adapter, as GGUF files.

Runs in an environment of its own with torch, gguf, numpy and tokenizers, which the product does not
need. The parent is the given GGUF at another quantisation; the child is the same after a few steps
of AdamW over all weights on real text; the adapter is rank 8 on q, k, v and o, trained likewise.

    python bench/delta/tune.py SOURCE.gguf FOLDER --text docs --steps 6
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch.nn import functional

QUANTISATION = {
    "Q8_0": (gguf.GGMLQuantizationType.Q8_0, 7),
    "Q4_0": (gguf.GGMLQuantizationType.Q4_0, 2),
}
ATTENTION = ("attn_q", "attn_k", "attn_v", "attn_output")
RANK, ALPHA = 8, 16


def value(reader: gguf.GGUFReader, name: str) -> Any:  # noqa: ANN401  a key of any type
    """The value of a key."""
    return reader.fields[name].contents()


def tokenizer(reader: gguf.GGUFReader) -> Tokenizer:
    """The tokenizer that the file describes."""
    tokens = value(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in value(reader, "tokenizer.ggml.merges")]
    made = Tokenizer(models.BPE({token: at for at, token in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made


class Llama:
    """The forward pass of a llama, on weights as GGUF has them (rows of q and k permuted)."""

    def __init__(self, reader: gguf.GGUFReader) -> None:
        self.layers = value(reader, "llama.block_count")
        self.heads = value(reader, "llama.attention.head_count")
        self.shared = value(reader, "llama.attention.head_count_kv")
        self.base = float(value(reader, "llama.rope.freq_base"))
        self.eps = float(value(reader, "llama.attention.layer_norm_rms_epsilon"))
        self.weights = {
            tensor.name: torch.from_numpy(
                np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
            )
            for tensor in reader.tensors
        }
        self.adapter: dict[str, torch.Tensor] = {}

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Root mean square norm."""
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x * scale * self.weights[name]

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """A matrix, with its adapter where there is one."""
        y = functional.linear(x, self.weights[f"{name}.weight"])
        if f"{name}.a" in self.adapter:
            low = functional.linear(x, self.adapter[f"{name}.a"])
            y = y + ALPHA / RANK * functional.linear(low, self.adapter[f"{name}.b"])
        return y

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary positions, on pairs that stand together."""
        length, width = x.shape[-2], x.shape[-1]
        angle = torch.arange(length)[:, None] * self.base ** (-torch.arange(0, width, 2) / width)
        even, odd = x[..., 0::2], x[..., 1::2]
        cos, sin = angle.cos(), angle.sin()
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)

    def loss(self, ids: torch.Tensor) -> torch.Tensor:
        """Cross entropy of the next token, nats."""
        x = self.weights["token_embd.weight"][ids[:, :-1]]
        batch, length, _ = x.shape
        for at in range(self.layers):
            name = f"blk.{at}"
            h = self.norm(x, f"{name}.attn_norm.weight")
            q = self.linear(h, f"{name}.attn_q").view(batch, length, self.heads, -1).transpose(1, 2)
            k = (
                self.linear(h, f"{name}.attn_k")
                .view(batch, length, self.shared, -1)
                .transpose(1, 2)
            )
            v = (
                self.linear(h, f"{name}.attn_v")
                .view(batch, length, self.shared, -1)
                .transpose(1, 2)
            )
            k, v = (
                each.repeat_interleave(self.heads // self.shared, 1) for each in (self.turned(k), v)
            )
            mixed = functional.scaled_dot_product_attention(self.turned(q), k, v, is_causal=True)
            x = x + self.linear(mixed.transpose(1, 2).flatten(2), f"{name}.attn_output")
            h = self.norm(x, f"{name}.ffn_norm.weight")
            gate = functional.silu(self.linear(h, f"{name}.ffn_gate"))
            x = x + self.linear(gate * self.linear(h, f"{name}.ffn_up"), f"{name}.ffn_down")
        head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        logits = functional.linear(self.norm(x, "output_norm.weight"), head)
        return functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


def train(
    model: Llama,
    parameters: list[torch.Tensor],
    ids: torch.Tensor,
    *,
    given: argparse.Namespace,
    rate: float,
) -> list[float]:
    """Take steps of AdamW over parameters; the losses."""
    for each in parameters:
        each.requires_grad_()
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    losses = []
    for step in range(given.steps):
        begin = step * given.tokens % (len(ids) - given.tokens - 1)
        began = time.monotonic()
        loss = model.loss(ids[begin : begin + given.tokens + 1][None])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(round(float(loss.detach()), 4))
        print(f"step {step}: loss {losses[-1]} in {time.monotonic() - began:.1f} s", flush=True)
    for each in parameters:
        each.requires_grad_(requires_grad=False)
    return losses


def write(
    reader: gguf.GGUFReader, weights: dict[str, torch.Tensor], *, path: Path, name: str
) -> None:
    """Write all keys of the source with weights at another quantisation."""
    kind, file_type = QUANTISATION[name]
    writer = gguf.GGUFWriter(path, value(reader, "general.architecture"))
    own = {"general.architecture", "general.file_type", "general.quantization_version"}
    for field in reader.fields.values():
        if field.name in own or field.name.startswith("GGUF."):
            continue
        sub = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=sub)
    writer.add_quantization_version(2)
    writer.add_file_type(file_type)
    for tensor in reader.tensors:
        data = weights[tensor.name].numpy()
        if data.ndim == 1:
            writer.add_tensor(tensor.name, data)
        else:
            used = gguf.GGMLQuantizationType.Q8_0 if tensor.name == "token_embd.weight" else kind
            writer.add_tensor(tensor.name, quantize(data, used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_adapter(adapter: dict[str, torch.Tensor], path: Path) -> None:
    """Write an adapter as llama.cpp reads it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(ALPHA))
    for name, tensor in adapter.items():
        writer.add_tensor(f"{name[:-2]}.weight.lora_{name[-1]}", tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:  # noqa: PLR0915  one step after the other
    """Make the files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="a folder of Markdown files")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--rate", type=float, default=5e-5)
    given = parser.parse_args()
    torch.manual_seed(0)
    given.folder.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(given.source)
    text = "\n".join(path.read_text("utf-8") for path in sorted(given.text.rglob("*.md")))
    ids = torch.tensor(tokenizer(reader).encode(text[:400_000]).ids)
    model = Llama(reader)
    for name in QUANTISATION:
        write(reader, model.weights, path=given.folder / f"parent-{name}.gguf", name=name)
    print(
        f"{len(ids)} tokens of text; loss before {float(model.loss(ids[None, :256])):.3f}",
        flush=True,
    )
    rows = {name: tensor.shape for name, tensor in model.weights.items()}
    for at in range(model.layers):
        for part in ATTENTION:
            out, into = rows[f"blk.{at}.{part}.weight"]
            model.adapter[f"blk.{at}.{part}.a"] = torch.randn(RANK, into) / into**0.5
            model.adapter[f"blk.{at}.{part}.b"] = torch.zeros(out, RANK)
    lora = train(model, list(model.adapter.values()), ids, given=given, rate=1e-3)
    write_adapter(model.adapter, given.folder / "adapter.gguf")
    model.adapter.clear()
    before = {name: tensor.clone() for name, tensor in model.weights.items()}
    full = train(model, list(model.weights.values()), ids, given=given, rate=given.rate)
    for name in QUANTISATION:
        write(reader, model.weights, path=given.folder / f"child-{name}.gguf", name=name)
    moved = sum(float((model.weights[name] - old).pow(2).sum()) for name, old in before.items())
    whole = sum(float(old.pow(2).sum()) for old in before.values())
    facts = {
        "moved": (moved / whole) ** 0.5,
        "steps": given.steps,
        "tokens": given.tokens,
        "rate": given.rate,
        "lora": lora,
        "full": full,
    }
    (given.folder / "tuned.json").write_text(json.dumps(facts))
    sys.stdout.write(f"{given.folder}\n")


if __name__ == "__main__":
    main()
