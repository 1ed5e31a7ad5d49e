"""Refusal: why a request is not served, as a value, since refusing is normal work."""

from typing import NamedTuple

from littoral.domain.errors import BudgetExhausted, LittoralError


class Refusal(NamedTuple):
    """A status, a public code and a sentence for the client.

    ``close`` ends the connection: its bytes can no longer be trusted to be in step.
    """

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: float | None = None
    close: bool = False


def refuse(
    kind: type[LittoralError],
    message: str,
    *,
    param: str | None = None,
    retry_after_s: float | None = None,
    close: bool = False,
) -> Refusal:
    """Make a refusal with the status and code of an error class."""
    return Refusal(kind.status, kind.code, message, param, retry_after_s, close)


def malformed(message: str, *, status: int = 400, code: str = "invalid_request") -> Refusal:
    """Make a refusal of bytes that break the protocol: the connection closes after it."""
    return Refusal(status, code, message, close=True)


def patience(refusal: Refusal) -> bytes:
    """Header lines that say when trying again helps; empty where nothing is known of it."""
    if refusal.code == BudgetExhausted.code:
        return b"x-should-retry: false\r\n"
    if refusal.retry_after_s is None:
        return b""
    wait_ms = max(int(refusal.retry_after_s * 1000), 1)
    return b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (-(-wait_ms // 1000), wait_ms)
