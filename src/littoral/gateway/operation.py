"""Operation: what an engine can be asked, and the path it answers at."""

from typing import Final

from littoral.domain.endpoint import Address, Endpoint
from littoral.trust.form import SEPARATOR

PATHS: Final = {
    "completions": "/completions",
    "chat": "/chat/completions",
    "embeddings": "/embeddings",
    "rerank": "/rerank",
    "score": "/score",
    "moderations": "/moderations",
    "transcriptions": "/audio/transcriptions",
    "translations": "/audio/translations",
    "speech": "/audio/speech",
    "tokenize": "/tokenize",
    "detokenize": "/detokenize",
    "count_tokens": "/messages/count_tokens",
}
"""The path of each operation below an engine's base, unless its endpoint names another."""

OPERATIONS: Final = tuple(PATHS)
JSON: Final = "application/json"
FORM: Final = f"multipart/form-data; boundary={SEPARATOR.decode()}"
FORMS: Final = frozenset({"transcriptions", "translations"})
"""What is asked with a form instead of JSON."""


def heads_of(endpoint: Endpoint) -> tuple[bytes, ...]:
    """Everything of a request's head that never changes, by operation; the length follows.

    To another node goes no head: of it there is only the path.
    """
    if endpoint.via is not None:
        return tuple(f"{path}\r\n".encode() for path in PATHS.values())
    address = endpoint.address
    if address is None:
        return ()
    return tuple(
        _head(
            address,
            endpoint.paths.get(operation) or f"{address.base}{path}",
            credential=endpoint.credential,
            media=FORM if operation in FORMS else JSON,
        )
        for operation, path in PATHS.items()
    )


def _head(address: Address, path: str, *, credential: str | None, media: str) -> bytes:
    host = address.tls or (f"[{address.host}]" if ":" in address.host else address.host)
    lines = [f"POST {path} HTTP/1.1", f"host: {host}:{address.port}"]
    if credential:
        lines.append(f"authorization: Bearer {credential}")
    lines += [f"content-type: {media}", "accept-encoding: identity", "content-length: "]
    return "\r\n".join(lines).encode()
