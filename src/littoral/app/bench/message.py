"""What the command and its workers say to each other, as length-prefixed msgpack."""

from typing import Final, Literal, TypeAlias

import msgspec

Endpoint: TypeAlias = Literal["chat", "completions", "embeddings"]
PATHS: Final[dict[Endpoint, str]] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
}
HEAD: Final = 4
OK: Final = "ok"
UNFINISHED: Final = "unfinished"
"""Kinds of an outcome beside those of faults."""


class Job(msgspec.Struct, array_like=True, frozen=True):
    """One request to send."""

    index: int
    at: float
    tokens_in: int
    tokens_out: int
    blocks: tuple[int, ...] = ()


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where requests go: ``host`` as the service is called, ``peer`` its numeric address.

    ``certificate`` and ``authority`` are files: the one certificate to trust, or those of
    authorities; empty where the system's authorities are.
    """

    host: str
    peer: str
    port: int
    tls: bool
    path: str
    certificate: str = ""
    authority: str = ""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What every request is made of."""

    endpoint: Endpoint
    model: str
    stream: bool
    seed: int
    per_word: float
    fixed: float
    share: float
    groups: int
    extra: dict[str, object]


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """All that one worker has to do; the key is here and nowhere else.

    ``clients`` is 0 in an open loop; in a closed one so many send their next request when the last
    is answered, going through ``jobs`` again and again until ``duration`` is over or ``count``
    requests are sent.
    """

    address: Address
    key: str
    work: Work
    jobs: list[Job]
    step: int
    clients: int
    duration: float
    count: int
    timeout: float
    most_in_flight: int


class Row(msgspec.Struct, array_like=True, kw_only=True):
    """What became of one request; times in seconds after the start of the run.

    ``last`` is the moment of its end, be that its last byte or its failure.

    ``gaps`` holds the times between pieces of the answer as 32-bit floats. ``counted`` says that
    the service gave the tokens; else the pieces were counted.
    """

    index: int
    at: float
    asked_in: int
    asked_out: int
    sent: float | None = None
    first: float | None = None
    last: float | None = None
    kind: str = OK
    detail: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    counted: bool = False
    gaps: bytes = b""


class Report(msgspec.Struct, kw_only=True):
    """What a worker says four times a second, and at its end."""

    rows: list[Row]
    sent: int
    flight: int
    waiting: int
    lags: list[float]
    cpu: float
    done: bool = False


class Ready(msgspec.Struct):
    """A worker has made itself ready to start."""

    in_flight_limit: int


def frame(message: object) -> bytes:
    """A message as it goes over a pipe."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(HEAD, "big") + data
