"""Cache: answers that were given before, to the same project and to exactly the same request.

The project is part of the key, so one project's answers cannot reach another. So is the revision of
what serves the model: a new version answers anew. What may be kept is decided by ``may_keep``.
"""

from collections import OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_ANSWER: Final = 1024 * 1024
"""Longest answer that is kept, bytes."""
_OVERHEAD: Final = 256
"""Bytes that an entry takes besides its answer."""


class Answer(NamedTuple):
    """An answer as its client received it: the body, or the events of a stream joined.

    ``name`` is the part of its request's id that ids within the answer are made of.
    """

    data: bytes
    tokens_in: int
    tokens_out: int
    name: bytes = b""

    def renamed(self, name: bytes) -> bytes:
        """The same answer to another request: ids made of the first one's name have its own."""
        return self.data.replace(self.name, name) if self.name else self.data


class Consent(NamedTuple):
    """What one request allows: to be answered from the cache, and to be kept there."""

    look: bool
    keep: bool


NEITHER: Final = Consent(look=False, keep=False)


def key_of(*, project: str, revision: bytes, body: bytes) -> bytes:
    """Name an answer.

    Args:
        project: Who asks. It is hashed with its length, so no other split gives the same key.
        revision: What serves the model now.
        body: The request, encoded from its checked fields.
    """
    text = project.encode()
    return sha256(b"%d:%b%d:%b%b" % (len(text), text, len(revision), revision, body)).digest()


def consent(*, control: bytes, wished: bool, is_repeatable: bool, all_kept: bool) -> Consent:
    """Decide whether a request of a project with a cache takes part in it.

    Args:
        control: The request's ``cache-control``, lower case; ``no-store`` keeps it out altogether,
            ``no-cache`` asks for a new answer, which is then kept.
        wished: Whether the request asks for the cache by a header of ours.
        is_repeatable: Whether asking twice should give the same answer: temperature 0, or a seed.
        all_kept: Whether the project wants every answer kept.
    """
    directives = {part.strip() for part in control.split(b",")}
    if b"no-store" in directives or not (is_repeatable or wished or all_kept):
        return NEITHER
    return Consent(look=b"no-cache" not in directives, keep=True)


class Cache:
    """Answers by key, the least recently used thrown out first; bounded in bytes.

    Args:
        most_bytes: What all of them may take.
    """

    __slots__ = ("_entries", "_most_bytes", "hits", "misses", "size")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._entries: OrderedDict[bytes, tuple[Answer, float]] = OrderedDict()
        self._most_bytes = most_bytes
        self.size = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes, now: float, *, stale_s: float = 0.0) -> Answer | None:
        """Return the answer kept under ``key``, if it is fresh.

        Args:
            key: From ``key_of``.
            now: Monotonic seconds.
            stale_s: How long after its time an answer is still good enough, seconds.
        """
        entry = self._entries.get(key)
        if entry is None or entry[1] + stale_s <= now:
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry[0]

    def keep(self, key: bytes, answer: Answer, *, until: float) -> bool:
        """Keep an answer until a time; False where it is too long to be kept."""
        if len(answer.data) > min(MOST_ANSWER, self._most_bytes - _OVERHEAD):
            return False
        self._drop(key)
        self._entries[key] = (answer, until)
        self.size += len(answer.data) + _OVERHEAD
        while self.size > self._most_bytes:
            self._drop(next(iter(self._entries)))
        return True

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry[0].data) + _OVERHEAD
