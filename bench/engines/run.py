#!/usr/bin/env python3
"""What the engines for embeddings, reranking and speech cost and how good they are.

Each runs in its own process, by the product's driver, with weights of the catalogue. Printed and
written to bench/out/engines.json: time to load, peak memory, embeddings per CPU-second, the mean
reciprocal rank of docstrings ranked for their summary line, word error rate and CPU-seconds per
second of sound. Sound is a folder of WAV files with a file ``transcription`` beside them, in
PocketSphinx's form; without --sound speech is left out, and said so.

    make bench-engines
    .venv/bin/python bench/engines/run.py --pairs 300 --sound librivox
"""

import argparse
import inspect
import json
import pathlib
import re
import time

import anyio
import httpx2
import numpy as np
from real import artefact_of, cpu_seconds, memory_mb, running

from littoral.engines.child.embed import BEST
from littoral.engines.child.encoder import Encoder, Shape
from littoral.engines.child.ranking import bm25, cosines, fused, max_sim, ordered, refined
from littoral.engines.embed import Embed
from littoral.engines.whisper import Whisper

OUT = pathlib.Path(__file__).parents[1] / "out" / "engines.json"
MODULES = (np, np.linalg, np.fft, np.random, np.ma, np.polynomial.polynomial, np.char)
LEAST_BODY = 120
TRAINED = 128
SPEECH = ("whisper-tiny-en", "whisper-base")


def pairs_of(limit: int) -> list[tuple[str, str]]:
    """Summary lines of numpy's docstrings, and what follows them; each body once."""
    found: dict[str, tuple[str, str]] = {}
    for module in MODULES:
        for name in sorted(dir(module)):
            text = inspect.getdoc(getattr(module, name, None)) or ""
            head, _, body = text.partition("\n\n")
            if "\n" in head or "(" in head:
                head, _, body = body.partition("\n\n")
            if 20 < len(head) < 200 and len(body) > LEAST_BODY and body not in found:
                found[body] = (" ".join(head.split()), body[:2000])
    chosen = sorted(found.values())
    step = max(1, len(chosen) // limit)
    return chosen[::step][:limit]


async def embedding(pairs: list[tuple[str, str]], threads: int) -> dict[str, float]:
    """Cost of embedding short and long texts."""
    began = time.perf_counter()
    async with running(Embed, "minilm-l6", threads=threads) as (instance, client):
        figures = {"load_s": time.perf_counter() - began}
        texts = {"short": [head for head, _ in pairs], "long": [body for _, body in pairs]}
        for name, some in texts.items():
            body = {"input": some, "truncate_prompt_tokens": 128}
            before, at = cpu_seconds(instance.pid), time.perf_counter()
            answer = (await client.post("/embeddings", json=body)).json()
            spent = cpu_seconds(instance.pid) - before
            figures[f"{name}_per_cpu_s"] = len(some) / spent
            figures[f"{name}_per_s"] = len(some) / (time.perf_counter() - at)
            figures[f"{name}_tokens"] = answer["usage"]["prompt_tokens"] / len(some)
        figures["memory_mb"] = memory_mb(instance.pid)
    return figures


async def reranking(pairs: list[tuple[str, str]], threads: int) -> dict[str, float]:
    """Mean reciprocal rank of each body for its head, by each step of the recipe; and its cost.

    Quality is of the engine's own modules, run here: each text is encoded once for all queries.
    """
    bodies = [body for _, body in pairs]
    encoder = await encoder_of(threads)
    rows = [cut(encoder.tokens(text)) for text in [*(head for head, _ in pairs), *bodies]]
    vectors = np.stack([encoder.vectors([row])[0] for row in rows])
    by_token = [encoder.token_vectors(row) for row in rows]
    ranks: dict[str, list[float]] = {"words": [], "meaning": [], "fused": [], "refined": []}
    for wanted, (head, _) in enumerate(pairs):
        words = bm25(head, bodies)
        meaning = cosines(np.vstack([vectors[wanted], vectors[len(pairs) :]]))
        both = fused(words, meaning)
        best = ordered(both)[:BEST]
        similar = [max_sim(by_token[wanted], by_token[len(pairs) + place]) for place in best]
        more = refined(both, best=best, similar=similar)
        for name, scores in zip(ranks, (words, meaning, both, more), strict=True):
            ranks[name].append(1 / (ordered(scores).index(wanted) + 1))
    found = {f"mrr_{name}": float(np.mean(some)) for name, some in ranks.items()}
    return found | {"n": len(pairs), **await cost_of_reranking(pairs[:50], threads)}


async def encoder_of(threads: int) -> Encoder:
    """The encoder that the engine's process would make."""
    artefact, blobs = await artefact_of("minilm-l6")
    shape = Shape(threads=threads, spin=False, context=512, pooling="mean", normalise=True)
    tokenizer = blobs.path(artefact.files[0].digest) or ""
    return Encoder(blobs.path(artefact.digest) or "", tokenizer, shape=shape)


def cut(row: list[int]) -> list[int]:
    """A row of at most so many tokens as the model was trained with."""
    return row if len(row) <= TRAINED else [*row[: TRAINED - 1], row[-1]]


async def cost_of_reranking(pairs: list[tuple[str, str]], threads: int) -> dict[str, float]:
    """CPU-seconds of ranking 50 documents, with MaxSim and without time for it."""
    figures: dict[str, float] = {}
    async with running(Embed, "minilm-l6", threads=threads) as (instance, client):
        for name, deadline in (("refined", "600000"), ("hurried", "1")):
            before = cpu_seconds(instance.pid)
            body = {"query": pairs[0][0], "documents": [body[:300] for _, body in pairs]}
            await client.post("/rerank", json=body, headers={"x-littoral-deadline-ms": deadline})
            figures[f"cpu_s_{name}_{len(pairs)}"] = cpu_seconds(instance.pid) - before
    return figures


async def speech(name: str, folder: pathlib.Path, threads: int) -> dict[str, float]:
    """Word error rate over a folder of recordings, and what they cost."""
    began = time.perf_counter()
    async with running(Whisper, name, threads=threads) as (instance, client):
        figures: dict[str, float] = {"load_s": time.perf_counter() - began}
        before, at = cpu_seconds(instance.pid), time.perf_counter()
        wrong = words = 0
        seconds = 0.0
        for line in (await anyio.Path(folder, "transcription").read_text()).splitlines():
            text, _, stem = line.rpartition("(")
            said = await transcribed(client, folder / f"{stem.strip(' )')}.wav")
            wanted = spoken(text.replace("<s>", "").replace("</s>", ""))
            wrong += edits(wanted, spoken(said["text"]))
            words += len(wanted)
            seconds += said["usage"]["seconds"]
        spent = cpu_seconds(instance.pid) - before
        figures |= {
            "wer": wrong / words, "words": words, "seconds": seconds,
            "cpu_s_a_second": spent / seconds,
            "real_time": (time.perf_counter() - at) / seconds,
            "memory_mb": memory_mb(instance.pid),
        }  # fmt: skip
    return figures


async def transcribed(client: httpx2.AsyncClient, path: pathlib.Path) -> dict[str, object]:
    """What the engine hears in a file."""
    sound = await anyio.Path(path).read_bytes()
    files = {"file": (path.name, sound, "audio/wav")}
    answer = await client.post("/audio/transcriptions", files=files, data={"language": "en"})
    if answer.status_code != 200:
        raise SystemExit(f"{path.name}: {answer.status_code} {answer.text[:300]}")
    return answer.json()


def spoken(text: str) -> list[str]:
    """Words without marks and case."""
    return re.sub(r"[^a-z0-9 ]", " ", text.lower().replace("mr.", "mister")).split()


def edits(wanted: list[str], heard: list[str]) -> int:
    """Fewest words put in, taken out or exchanged."""
    row = list(range(len(heard) + 1))
    for i, one in enumerate(wanted, 1):
        left, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            left, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, left + (one != other))
    return row[-1]


def main() -> None:
    """Measure, print, write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=300, help="docstrings to rank")
    parser.add_argument("--threads", type=int, default=1, help="threads of each engine")
    parser.add_argument("--sound", type=pathlib.Path, help="folder of recordings")
    given = parser.parse_args()
    pairs = pairs_of(given.pairs)
    found: dict[str, dict[str, float]] = {"embed": anyio.run(embedding, pairs, given.threads)}
    found["rerank"] = anyio.run(reranking, pairs, given.threads)
    for name in SPEECH if given.sound else ():
        found[name] = anyio.run(speech, name, given.sound, given.threads)
    for name, figures in found.items():
        print(name, " ".join(f"{key}={value:.3g}" for key, value in figures.items()))
    if not given.sound:
        print("speech: not run, no --sound given")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
