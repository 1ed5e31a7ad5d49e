"""The shapes of reranked documents: Jina's and vLLM's at ``/v1``, Cohere's at ``/v2``."""

from typing import Final, final

import msgspec
from msgspec import Struct

from littoral.gateway.asked import Asked
from littoral.gateway.ranking import Rerank, texts_of
from littoral.gateway.tally import whole
from littoral.gateway.voice import Unstreamed


class _Result(Struct):
    index: int
    relevance_score: float


class _Results(Struct):
    results: list[_Result]


_DECODE = msgspec.json.Decoder(_Results).decode
_ENCODE = msgspec.json.Encoder().encode


@final
class Reranked(Unstreamed):
    """The translator of engines' results.

    Args:
        cohere: Whether to answer as Cohere's second version does.
    """

    def __init__(self, *, cohere: bool) -> None:
        self._cohere = cohere

    def whole(self, asked: Asked, data: bytes, request: str) -> bytes:
        """Say the results in the caller's shape, best first, each with its document if wished.

        Raises:
            ValueError: The engine ranked documents that were not given, or one twice.
        """
        body: Rerank = asked.body  # pyright: ignore[reportAssignmentType]  ``read_rerank`` makes no other
        texts = texts_of(body)
        found = _DECODE(data).results
        if not {each.index for each in found} <= set(range(len(texts))):
            raise ValueError("it ranked a document that was not given")
        if len({each.index for each in found}) != len(found):
            raise ValueError("it ranked a document twice")
        found.sort(key=lambda each: (-each.relevance_score, each.index))
        results: list[dict[str, object]] = []
        for each in found[: body.top_n or len(found)]:
            result: dict[str, object] = {"index": each.index}
            result["relevance_score"] = each.relevance_score
            if _wants_documents(body, default=not self._cohere):
                result["document"] = {"text": texts[each.index]}
            results.append(result)
        counted = whole(data)
        used = counted.usage if counted is not None else None
        return _ENCODE(self._told(body, results, used.tokens_in if used else 0) | {"id": request})

    def _told(
        self, body: Rerank, results: list[dict[str, object]], tokens: int
    ) -> dict[str, object]:
        if self._cohere:
            units = {"search_units": 1}
            meta = {"api_version": {"version": "2"}, "billed_units": units}
            return {"results": results, "meta": meta | {"tokens": {"input_tokens": tokens}}}
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "model": body.model, "results": results, "usage": usage}


def _wants_documents(body: Rerank, *, default: bool) -> bool:
    return default if body.return_documents is None else body.return_documents


JINA: Final = Reranked(cohere=False)
COHERE: Final = Reranked(cohere=True)
