"""Operation: what an engine can be asked, and the path it answers at."""

from typing import Final

from littoral.domain.endpoint import Address, Endpoint

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


def heads_of(endpoint: Endpoint) -> tuple[bytes, ...]:
    """Everything of a request's head that never changes, by operation; the length follows."""
    address = endpoint.address
    if address is None:
        return ()
    paths = [
        endpoint.paths.get(operation) or f"{address.base}{path}"
        for operation, path in PATHS.items()
    ]
    return tuple(_head(address, path, endpoint.credential) for path in paths)


def _head(address: Address, path: str, credential: str | None) -> bytes:
    host = address.tls or (f"[{address.host}]" if ":" in address.host else address.host)
    lines = [f"POST {path} HTTP/1.1", f"host: {host}:{address.port}"]
    if credential:
        lines.append(f"authorization: Bearer {credential}")
    lines += [f"content-type: {JSON}", "accept-encoding: identity", "content-length: "]
    return "\r\n".join(lines).encode()
