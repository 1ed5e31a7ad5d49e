"""What the fake engine says of texts: vectors, ranks, scores, categories and tokens."""

import base64
import hashlib
import math
import re
import struct
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from littoral.engines.child.reply import (
    Message,
    Tool,
    count_tokens,
    text_of,
    text_of_tokens,
    tokens_of,
)

DIMENSIONS = 256
MOST_DIMENSIONS = 4096
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
FLAGGED, CALM = 0.9, 0.01
_WORD = re.compile(r"[一-鿿]|[^\W一-鿿]+")
Object: TypeAlias = dict[str, object]


class TooLong(Exception):
    """An input has more tokens than the context."""


class Embeddings(msgspec.Struct):
    """A request for vectors."""

    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None


class Rerank(msgspec.Struct):
    """A request for ranks."""

    query: str
    documents: list[str]
    top_n: int | None = None


class Score(msgspec.Struct):
    """A request for scores of pairs."""

    text_1: list[str]
    text_2: list[str]


class Part(msgspec.Struct):
    """A part of an input that is to be moderated."""

    type: str
    text: str = ""


class Moderations(msgspec.Struct):
    """A request for categories."""

    input: str | list[str | Part]


class Tokenize(msgspec.Struct):
    """A request for tokens."""

    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    return_token_strs: bool | None = None


class Detokenize(msgspec.Struct):
    """A request for the text of tokens."""

    tokens: list[int]


def embed(ask: Embeddings, *, model: str, context: int) -> Object:
    """Return one unit vector an input, the same for the same text or its tokens.

    Raises:
        TooLong: An input is longer than the context.
    """
    texts = _inputs(ask)
    counts = [count_tokens(text) for text in texts]
    if max(counts) > context:
        raise TooLong(f"an input has {max(counts)} tokens; at most {context} are allowed")
    size = min(ask.dimensions or DIMENSIONS, MOST_DIMENSIONS)
    data: list[object] = []
    for index, text in enumerate(texts):
        packed = vector(model, text, size)
        said: object = list(struct.unpack(f"<{size}f", packed))
        if ask.encoding_format == "base64":
            said = base64.b64encode(packed).decode()
        entry: Object = {"object": "embedding", "index": index, "embedding": said}
        data.append(entry)
    return {"object": "list", "model": model, "data": data, "usage": used(sum(counts))}


def vector(model: str, text: str, size: int) -> bytes:
    """Return ``size`` little-endian float32 that have together the length 1."""
    seed = hashlib.sha256(f"{model}\n{text}".encode("utf-8", "replace")).digest()
    drawn: list[float] = []
    block = 0
    while len(drawn) < size:
        stream = hashlib.sha256(seed + block.to_bytes(4, "little")).digest()
        drawn += [word / 2**31 - 1.0 for word in struct.unpack("<8I", stream)]
        block += 1
    length = math.sqrt(math.fsum(each * each for each in drawn[:size]))
    return struct.pack(f"<{size}f", *(each / length for each in drawn[:size]))


def rerank(ask: Rerank, *, model: str, identity: str) -> Object:
    """Rank documents by the words that they share with the query."""
    scores = [overlap(ask.query, document) for document in ask.documents]
    order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
    results: list[object] = []
    for at in order[: ask.top_n or len(order)]:
        result: Object = {"index": at, "document": {"text": ask.documents[at]}}
        results.append(result | {"relevance_score": scores[at]})
    tokens = count_tokens(ask.query) * len(scores) + sum(map(count_tokens, ask.documents))
    return {"id": f"rerank-{identity}", "model": model, "results": results, "usage": used(tokens)}


def score(ask: Score, *, model: str, identity: str, created: int) -> Object:
    """Score each pair by the words that its texts share."""
    pairs = list(zip(ask.text_1, ask.text_2, strict=True))
    data: list[object] = []
    for index, pair in enumerate(pairs):
        entry: Object = {"index": index, "object": "score", "score": overlap(*pair)}
        data.append(entry)
    tokens = sum(count_tokens(one) + count_tokens(other) for one, other in pairs)
    head: Object = {"id": f"score-{identity}", "object": "list", "created": created}
    return head | {"model": model, "data": data, "usage": used(tokens)}


def moderate(ask: Moderations, *, model: str, identity: str) -> Object:
    """Flag each category whose name stands in the text; the parts of one input are one text."""
    given = [ask.input] if isinstance(ask.input, str) else ask.input
    texts = [each for each in given if isinstance(each, str)]
    parts = [each.text for each in given if isinstance(each, Part)]
    if parts:
        texts.append("\n".join(parts))
    results = [_judged(text) for text in texts]
    return {
        "id": f"modr-{identity}",
        "model": model,
        "results": results,
        "usage": used(sum(map(count_tokens, texts))),
    }


def _judged(text: str) -> Object:
    low = text.lower()
    flags = {name: all(word in low for word in name.split("/")) for name in CATEGORIES}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {name: FLAGGED if flag else CALM for name, flag in flags.items()},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def tokenize(ask: Tokenize, *, context: int) -> Object:
    """Return the tokens of a prompt, or of messages one after the other."""
    texts = [ask.prompt or ""] if ask.messages is None else map(text_of, ask.messages)
    tokens = [token for text in texts for token in tokens_of(text)]
    return {
        "count": len(tokens),
        "max_model_len": context,
        "tokens": tokens,
        "token_strs": [text_of_tokens([each]) for each in tokens]
        if ask.return_token_strs
        else None,
    }


def detokenize(ask: Detokenize) -> Object:
    """Return the text of tokens; what is no token of ours says so."""
    return {"prompt": text_of_tokens(ask.tokens)}


def overlap(one: str, other: str) -> float:
    """Words that two texts share, as part of the words of both."""
    left, right = (set(_WORD.findall(text.lower())) for text in (one, other))
    return len(left & right) / (len(left | right) or 1)


def used(tokens: int) -> Object:
    """The usage of what answers with no text."""
    return {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}


def _inputs(ask: Embeddings) -> Sequence[str]:
    given = ask.input
    if isinstance(given, str):
        return [given]
    ids = [each for each in given if isinstance(each, int)]
    if ids:
        return [text_of_tokens(ids)]
    return [text_of_tokens(each) if isinstance(each, list) else str(each) for each in given]
