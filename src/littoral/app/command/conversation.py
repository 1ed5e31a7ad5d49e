"""A chat with one model over the public API: streamed answers and their figures."""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import httpx2

from littoral.app.command.site import Target
from littoral.domain.errors import (
    InvalidInput,
    LittoralError,
    Unauthenticated,
    Unavailable,
    UpstreamFailed,
)
from littoral.domain.ports import Clock
from littoral.domain.units import Seconds

CONNECT_S = 5.0
READ_S = 600.0
Json: TypeAlias = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for beside the messages; None leaves it to the model."""

    model: str
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(kw_only=True)
class Answer:
    """One answer as far as it has come."""

    text: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    finish: str = ""
    route: str = ""
    request: str = ""
    first_s: Seconds | None = None
    total_s: Seconds = Seconds(0.0)
    stopped: bool = field(default=False)


class Conversation:
    """Speaks to ``/v1`` of one instance.

    Args:
        target: Address and key.
        clock: For the figures.
    """

    def __init__(self, target: Target, *, clock: Clock) -> None:
        self._clock = clock
        self._url = target.url
        self._client = httpx2.Client(
            base_url=target.url,
            headers={"authorization": f"Bearer {target.key}"} if target.key else {},
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
            verify=target.trusted,
            trust_env=False,
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def models(self) -> list[str]:
        """The names that this key may use."""
        try:
            reply = self._client.get("/v1/models")
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if reply.status_code != 200:
            raise refusal(reply.status_code, reply.content)
        listed = cast("list[Json]", cast("Json", reply.json()).get("data", []))
        return [str(model.get("id")) for model in listed]

    def whole(self, path: str, body: Json) -> Json:
        """Send one request and wait for its answer in one piece.

        Args:
            path: Under the address, such as ``/v1/embeddings``.
            body: The request.

        Raises:
            LittoralError: It was refused, or there was no answer.
        """
        try:
            reply = self._client.post(path, json=body)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        if reply.status_code != 200:
            raise refusal(reply.status_code, reply.content)
        try:
            answer = cast("object", reply.json())
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UpstreamFailed(f"{self._url}{path} answered what is no JSON object")
        return cast("Json", answer)

    def ask(self, wish: Wish, messages: list[Json], answer: Answer) -> Iterator[str]:
        """Stream one answer, piece by piece; ``answer`` fills up meanwhile.

        Args:
            wish: Model and limits.
            messages: The conversation so far, in OpenAI's shape.
            answer: A fresh one.

        Raises:
            LittoralError: The request was refused, or the answer broke off.
        """
        body: Json = {
            "model": wish.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        given = {"max_tokens": wish.max_tokens, "temperature": wish.temperature}
        body |= {name: value for name, value in given.items() if value is not None}
        began = self._clock.now()
        try:
            yield from self._stream(body, answer, began)
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            answer.total_s = Seconds(self._clock.now() - began)

    def _stream(self, body: Json, answer: Answer, began: Seconds) -> Generator[str]:
        with self._client.stream("POST", "/v1/chat/completions", json=body) as reply:
            if reply.status_code != 200:
                raise refusal(reply.status_code, reply.read())
            answer.route = reply.headers.get("x-littoral-route", "")
            answer.request = reply.headers.get("x-request-id", "")
            done = False
            for line in reply.iter_lines():
                if line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    piece = absorb(cast("Json", json.loads(line[6:])), answer)
                    if piece and answer.first_s is None:
                        answer.first_s = Seconds(self._clock.now() - began)
                    yield piece
            if not done:
                raise UpstreamFailed("the answer broke off before its end; ask again")

    def _unreachable(self, error: httpx2.HTTPError) -> LittoralError:
        return Unavailable(
            f"no answer from {self._url}: {error or type(error).__name__}; "
            "see littoral status, or start it with littoral up"
        )


def absorb(chunk: Json, answer: Answer) -> str:
    """Take one streamed chunk into the answer and return its text.

    Raises:
        LittoralError: The chunk is an error.
    """
    if "error" in chunk:
        raise refusal(502, json.dumps(chunk).encode())
    usage = cast("dict[str, int] | None", chunk.get("usage"))
    if usage:
        answer.tokens_in = usage.get("prompt_tokens", 0)
        answer.tokens_out = usage.get("completion_tokens", 0)
    choices = cast("list[Json]", chunk.get("choices") or [])
    if not choices:
        return ""
    answer.finish = str(choices[0].get("finish_reason") or answer.finish)
    delta = cast("Json", choices[0].get("delta") or {})
    piece = str(delta.get("content") or "")
    answer.text += piece
    return piece


def refusal(status: int, body: bytes) -> LittoralError:
    """The error that an answer's body stands for."""
    message = ""
    try:
        error = cast("Json", json.loads(body))["error"]
        message = str(cast("Json", error)["message"])
    except (ValueError, KeyError, TypeError):
        message = f"the answer was {status}: {body[:200].decode('utf-8', 'replace')}"
    if status == 401:
        return Unauthenticated(f"{message} (the key is taken from --key or LITTORAL_KEY)")
    if status < 500:
        return InvalidInput(message)
    return UpstreamFailed(message)
