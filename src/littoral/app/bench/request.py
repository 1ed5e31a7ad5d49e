"""The bytes of one request: head and body, as raw HTTP/1.1."""

import msgspec

from littoral.app.bench.message import Address, Job, Work
from littoral.app.bench.prompt import PromptMaker


class RequestMaker:
    """Makes requests that differ in prompt and length only.

    Args:
        address: Where they go.
        key: Sent as a bearer token; empty sends none.
        work: What each is made of.
        prompts: Makes their text.
    """

    def __init__(self, address: Address, key: str, *, work: Work, prompts: PromptMaker) -> None:
        self._work = work
        self._prompts = prompts
        host = f"[{address.host}]" if ":" in address.host else address.host
        usual = 443 if address.tls else 80
        lines = [
            f"POST {address.path} HTTP/1.1",
            f"Host: {host}" if address.port == usual else f"Host: {host}:{address.port}",
            "Content-Type: application/json",
            "User-Agent: littoral-bench",
        ]
        if key:
            lines.append(f"Authorization: Bearer {key}")
        self._head = ("\r\n".join(lines) + "\r\nContent-Length: ").encode("ascii")

    def make(self, job: Job) -> bytes:
        """The whole request."""
        text = self._prompts.text(job.index, job.tokens_in, job.blocks)
        data = msgspec.json.encode(body(self._work, text, tokens_out=job.tokens_out))
        return b"%b%d\r\n\r\n%b" % (self._head, len(data), data)


def body(work: Work, text: str, *, tokens_out: int) -> dict[str, object]:
    """The JSON of one request.

    Args:
        work: Endpoint, model, whether it streams, and what else every request holds.
        text: The prompt.
        tokens_out: Most tokens of the answer; an embedding has none.
    """
    made: dict[str, object] = {"model": work.model}
    if work.endpoint == "embeddings":
        return made | {"input": text} | work.extra
    if work.endpoint == "chat":
        made["messages"] = [{"role": "user", "content": text}]
    else:
        made["prompt"] = text
    made["max_tokens"] = tokens_out
    if work.stream:
        made |= {"stream": True, "stream_options": {"include_usage": True}}
    return made | work.extra
