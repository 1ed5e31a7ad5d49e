"""The first protocol of sessions as it was, frozen: never change these, only add newer copies.

Records are what an older build decodes; the dictionaries are what it sends.
"""

import msgspec


class Hello(msgspec.Struct, frozen=True):
    protocol: int
    node: str
    name: str
    boot: str
    build: str
    outbox: str
    snapshot: tuple[int, int]


class Welcome(msgspec.Struct, frozen=True):
    protocol: int
    server_us: int
    beat_s: float


class Goodbye(msgspec.Struct, frozen=True):
    code: str
    after_s: float = 0.0


class Parcel(msgspec.Struct, array_like=True, frozen=True):
    type: int
    lane: int
    stream: int
    seq: int
    flags: int
    body: bytes


class Offer(msgspec.Struct, array_like=True, frozen=True):
    session: bytes = b""
    seen: tuple[int, int, int] = (0, 0, 0)


class Accept(msgspec.Struct, array_like=True, frozen=True):
    session: bytes
    resumed: bool = False
    seen: tuple[int, int, int] = (0, 0, 0)
    resume_s: float = 0.0


HELLO = {
    "protocol": 1,
    "node": "nd_1",
    "name": "here",
    "boot": "b",
    "build": "0.1.0",
    "outbox": "o",
    "snapshot": [0, 0],
}
BEAT = {"number": 7}
GOODBYE = {"code": "drained", "after_s": 5.0}
SENT = {0: HELLO, 2: BEAT, 17: GOODBYE}
"""What an older node sends, by number."""
READ = {0: Hello, 1: Welcome, 17: Goodbye}
"""What an older end reads, by number."""
