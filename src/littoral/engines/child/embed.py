"""The embed engine's process: embeddings, reranking and tokens, by a sentence encoder."""

import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, final

import anyio
import anyio.to_thread
import msgspec
import numpy as np

from littoral.engines.child.encoder import Encoder, Pooling, Shape, Tokens, batches, placed
from littoral.engines.child.host import CREATED, Fault, Host, Routes, host, own_output, read
from littoral.engines.child.http import Call, Responder
from littoral.engines.child.lifeline import tie
from littoral.engines.child.ranking import (
    Matrix,
    Vector,
    base64,
    bm25,
    cosines,
    floats,
    fused,
    max_sim,
    ordered,
    pair_cosines,
    refined,
    relevance,
    shortened,
)

INPUTS_MAX = 2048
DOCUMENTS_MAX = 1024
BEST = 20
"""How many of the best documents are compared token by token."""
DEADLINE = "x-littoral-deadline-ms"

Texts: TypeAlias = str | list[str]
Input: TypeAlias = str | list[str | int | list[int]]


class Start(msgspec.Struct, kw_only=True):
    """What the parent sends on standard input."""

    parent: int
    key: str
    model: str
    tokenizer: str
    alias: str
    threads: int
    context: int
    spin: bool
    pooling: Pooling = "mean"
    normalise: bool = True
    matryoshka: bool = False


class EmbedAsk(msgspec.Struct, kw_only=True):
    """A request for embeddings."""

    input: Input
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    truncate_prompt_tokens: int | None = None


class RerankAsk(msgspec.Struct, kw_only=True):
    """A request to order documents by how well they answer a query."""

    query: str
    documents: list[str]
    top_n: int | None = None
    return_documents: bool = False
    max_tokens_per_doc: int | None = None


class ScoreAsk(msgspec.Struct, kw_only=True):
    """A request for the likeness of pairs of texts; one text may stand for all on its side."""

    text_1: Texts
    text_2: Texts
    truncate_prompt_tokens: int | None = None


class TokenizeAsk(msgspec.Struct, kw_only=True):
    """A request for the tokens of a text."""

    prompt: str
    add_special_tokens: bool = True
    return_token_strs: bool = False


class DetokenizeAsk(msgspec.Struct, kw_only=True):
    """A request for the text of tokens."""

    tokens: list[int]


def main(line: bytes) -> None:
    """Load the model and serve until killed.

    Args:
        line: The parent's one line, a ``Start`` as JSON.
    """
    start = msgspec.json.decode(line, type=Start)
    tie(start.parent)
    ready = own_output()
    shape = Shape(
        threads=start.threads,
        spin=start.spin,
        context=start.context,
        pooling=start.pooling,
        normalise=start.normalise,
    )
    try:
        encoder = Encoder(start.model, start.tokenizer, shape=shape)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    desk = Desk(encoder, alias=start.alias, matryoshka=start.matryoshka)
    server = Host(alias=start.alias, key=start.key, routes=desk.routes())
    host(server, ready=ready, report={"by_token": encoder.by_token, "width": encoder.width})


@final
class Desk:
    """Answers requests, one batch of texts at a time.

    Args:
        encoder: Computes.
        alias: The model's name in answers.
        matryoshka: Whether the beginnings of its vectors are vectors too.
    """

    def __init__(self, encoder: Encoder, *, alias: str, matryoshka: bool = False) -> None:
        self._encoder = encoder
        self._alias = alias
        self._matryoshka = matryoshka
        self._lane = anyio.CapacityLimiter(1)

    def routes(self) -> Routes:
        """What it answers."""
        return {
            ("POST", "/v1/embeddings"): self._embed,
            ("POST", "/v1/rerank"): self._rerank,
            ("POST", "/v1/score"): self._score,
            ("POST", "/v1/tokenize"): self._tokenize,
            ("POST", "/v1/detokenize"): self._detokenize,
        }

    async def _embed(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, EmbedAsk)
        width = self._width_of(ask.dimensions)
        rows = await self._rows(_inputs(ask.input), "input", truncate=ask.truncate_prompt_tokens)
        vectors = await self._vectors(rows)
        if width < self._encoder.width:
            vectors = shortened(vectors, width)
        coded = base64(vectors) if ask.encoding_format == "base64" else floats(vectors)
        data = [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(coded)
        ]
        await self._answer(responder, {"object": "list", "data": data}, used=rows)

    async def _rerank(self, call: Call, responder: Responder) -> None:
        began = anyio.current_time()
        ask = read(call.body, RerankAsk)
        top = _top_of(ask)
        cut = ask.max_tokens_per_doc or self._encoder.shape.context
        query = await self._rows([ask.query], "query", truncate=None)
        rows = [*query, *await self._rows(ask.documents, "document", truncate=cut)]
        vectors = await self._vectors(rows)
        meaning = cosines(vectors)
        words = await anyio.to_thread.run_sync(bm25, ask.query, ask.documents, limiter=self._lane)
        scores = fused(words, meaning)
        best = ordered(scores)[:BEST]
        spent = anyio.current_time() - began
        if self._encoder.by_token and _is_time_left(call, spent, rows=rows, best=best):
            scores = await self._refined(scores, rows, best)
        values = relevance(scores)
        results: list[dict[str, object]] = [
            {"index": place, "relevance_score": values[place]} for place in ordered(scores)[:top]
        ]
        if ask.return_documents:
            for result, place in zip(results, ordered(scores), strict=False):
                result["document"] = {"text": ask.documents[place]}
        await self._answer(responder, {"results": results}, used=rows)

    async def _refined(self, scores: Vector, rows: Sequence[Tokens], best: Sequence[int]) -> Vector:
        """Compare the best documents with the query token by token."""
        encoder, lane = self._encoder, self._lane
        query = await anyio.to_thread.run_sync(encoder.token_vectors, rows[0], limiter=lane)
        similar: list[float] = []
        for place in best:
            row = rows[place + 1]
            document = await anyio.to_thread.run_sync(encoder.token_vectors, row, limiter=lane)
            similar.append(max_sim(query, document))
        return refined(scores, best=best, similar=similar)

    async def _score(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, ScoreAsk)
        left, right = _pairs(ask)
        truncate = ask.truncate_prompt_tokens
        rows = await self._rows([*left, *right], "text_1 or text_2", truncate=truncate)
        vectors = await self._vectors(rows)
        scores = pair_cosines(vectors[: len(left)], vectors[len(left) :])
        data = [
            {"index": index, "object": "score", "score": score}
            for index, score in enumerate(scores)
        ]
        body: dict[str, object] = {"object": "list", "created": CREATED, "data": data}
        await self._answer(responder, body, used=rows)

    async def _tokenize(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, TokenizeAsk)
        encoder = self._encoder
        tokens = encoder.tokens(ask.prompt, special=ask.add_special_tokens)
        body = {
            "count": len(tokens),
            "max_model_len": encoder.shape.context,
            "tokens": tokens,
            "token_strs": encoder.words(tokens) if ask.return_token_strs else None,
        }
        await responder.send(200, msgspec.json.encode(body))

    async def _detokenize(self, call: Call, responder: Responder) -> None:
        ask = read(call.body, DetokenizeAsk)
        self._check_tokens(ask.tokens, "tokens")
        text = self._encoder.text(ask.tokens)
        await responder.send(200, msgspec.json.encode({"prompt": text}))

    def _width_of(self, dimensions: int | None) -> int:
        width = self._encoder.width
        if dimensions is None or dimensions == width:
            return width
        if not self._matryoshka:
            text = f"dimensions must be {width}: this model was not trained for shorter vectors"
            raise Fault(text, param="dimensions")
        if not 1 <= dimensions <= width:
            raise Fault(f"dimensions must be 1 to {width}", param="dimensions")
        return dimensions

    async def _rows(
        self, inputs: Sequence[str | Tokens], what: str, *, truncate: int | None
    ) -> Sequence[Tokens]:
        """Every input as tokens that the encoder can take."""
        if truncate is not None and truncate != -1 and truncate < 1:
            text = "truncate_prompt_tokens must be -1 (as many as fit) or at least 1"
            raise Fault(text, param="truncate_prompt_tokens")

        def rows() -> Sequence[Tokens]:
            return [self._row(each, f"{what} {n}", truncate) for n, each in enumerate(inputs)]

        return await anyio.to_thread.run_sync(rows, limiter=self._lane)

    def _row(self, given: str | Tokens, at: str, truncate: int | None) -> Tokens:
        if not given:
            raise Fault(f"{at} must not be empty", param=at.partition(" ")[0])
        most = self._encoder.shape.context
        row = self._encoder.tokens(given) if isinstance(given, str) else given
        cut = len(row) if truncate is None else most if truncate == -1 else min(truncate, most)
        if cut < len(row):
            row = [*row[: cut - 1], row[-1]]
        if len(row) > most:
            text = f"{at} has {len(row)} tokens, and {most} fit: set truncate_prompt_tokens to cut"
            raise Fault(text, code="context_length_exceeded", param=at.partition(" ")[0])
        if not isinstance(given, str):
            self._check_tokens(row, at)
        return row

    def _check_tokens(self, tokens: Tokens, at: str) -> None:
        count = self._encoder.vocabulary
        if any(not 0 <= token < count for token in tokens):
            raise Fault(f"{at}: tokens are numbers from 0 to {count - 1}", param="input")

    async def _vectors(self, rows: Sequence[Tokens]) -> Matrix:
        found = np.zeros((len(rows), self._encoder.width), np.float32)
        for places in batches(rows):
            batch = [rows[place] for place in places]
            rows_found = await anyio.to_thread.run_sync(
                self._encoder.vectors, batch, limiter=self._lane
            )
            placed(rows_found, places, into=found)
        return found

    async def _answer(
        self, responder: Responder, body: Mapping[str, object], *, used: Sequence[Tokens]
    ) -> None:
        tokens = sum(len(row) for row in used)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        whole = {**body, "model": self._alias, "usage": usage}
        await responder.send(200, msgspec.json.encode(whole))


def _inputs(given: Input) -> Sequence[str | Tokens]:
    """One text, texts, one text's tokens or several texts' tokens, as a list."""
    if isinstance(given, str):
        return [given]
    numbers = [each for each in given if isinstance(each, int)]
    others = [each for each in given if not isinstance(each, int)]
    if numbers and others:
        raise Fault("input must be texts or tokens, not both", param="input")
    found: Sequence[str | Tokens] = [numbers] if numbers else others
    if not 1 <= len(found) <= INPUTS_MAX:
        raise Fault(f"input must hold 1 to {INPUTS_MAX} texts", param="input")
    return found


def _top_of(ask: RerankAsk) -> int:
    """How many results are wanted."""
    count = len(ask.documents)
    if not 1 <= count <= DOCUMENTS_MAX:
        raise Fault(f"documents must hold 1 to {DOCUMENTS_MAX} texts", param="documents")
    if ask.top_n is not None and ask.top_n < 0:
        raise Fault("top_n must be at least 1; 0 for all", param="top_n")
    return min(ask.top_n or count, count)


def _pairs(ask: ScoreAsk) -> tuple[list[str], list[str]]:
    """Both sides of every pair."""
    left = [ask.text_1] if isinstance(ask.text_1, str) else ask.text_1
    right = [ask.text_2] if isinstance(ask.text_2, str) else ask.text_2
    if not left or not right or len(left) + len(right) > INPUTS_MAX:
        raise Fault(f"give 1 to {INPUTS_MAX} texts in text_1 and text_2 together")
    if len(left) != len(right) and len(left) != 1:
        raise Fault("text_1 must be one text, or as many as text_2", param="text_1")
    return (left * len(right) if len(left) == 1 else left), right


def _is_time_left(call: Call, spent: float, *, rows: Sequence[Tokens], best: Sequence[int]) -> bool:
    """Whether comparing the best token by token fits the deadline, judged by the time so far."""
    given = call.headers.get(DEADLINE, "")
    if not given.isdecimal():
        return True
    all_tokens = sum(len(row) for row in rows)
    again = len(rows[0]) + sum(len(rows[place + 1]) for place in best)
    return spent * (1 + 1.5 * again / max(1, all_tokens)) < int(given) / 1000
