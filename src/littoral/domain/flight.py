"""The flight table: one fixed slot per request under way, in memory that outlives its writer.

The gateway writes, the node reads. A slot is *open* from admission until the request is settled,
then *settled* until its record is synced, then free again. When the gateway dies at any point, the
node finds what every request had used; nothing is lost and no sync stands on the request's path.

A slot is 512 bytes, little-endian: the header below, then the identity, six names joined by
newlines, then why it was placed there (``domain.decided``), then what the request holds of limits.
The state byte is written last on the way in, so a
slot that is not free is whole.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, cast

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.quota import Charge
from littoral.domain.units import Micros, Tokens
from littoral.domain.usage import UsageRecord, UsageStatus

Buffer: TypeAlias = bytearray | memoryview

SLOT_BYTES = 512
FREE, OPEN, SETTLED = 0, 1, 2
STREAMED, ESTIMATED, CHARGED, GUEST = 1, 2, 4, 8
"""``GUEST``: another node was asked and books it; here it only teaches what the engine takes."""
_CAP_SHIFT, _CAP_MOST = 4, 15
"""Where, in the flags, the cap on the answer stands: its power of two from below, plus one."""
STATUSES: tuple[UsageStatus, ...] = ("ok", "cancelled", "failed", "interrupted")
HEADER = struct.Struct("<BBBBIIIQIIIIddH")
"""state, flags, status, attempt, tokens in, cached, out, at_us, first_us, total_us, predicted_us,
predicted_p90_us, price_in, price_out (per million tokens), identity bytes."""
_TOKENS_OUT = struct.Struct("<I")
_TOKENS_OUT_AT = 12
TAGGED = "\x1f"
"""Between a key and its request's tag, where there is one."""
CHARGE = struct.Struct("<QqB6H")
"""What an open request holds of limits, at the end of its slot: tokens, nano-units, how many rows
of the quota table, and which. It counts where ``CHARGED`` is set."""
_CHARGE_AT = SLOT_BYTES - CHARGE.size
_DECIDED = struct.Struct("<I")
_DECIDED_AT = _CHARGE_AT - _DECIDED.size
IDENTITY_BYTES = _DECIDED_AT - HEADER.size
_WHOLE = struct.Struct(f"{HEADER.format}{IDENTITY_BYTES}sI")
"""A slot but its charge in one write: the header, the names, and why it was placed there."""
_COUNTS = struct.Struct(f"<{HEADER.format[2:11]}")
"""The header up to ``total_us``, without its state."""
_COUNTS_END = 1 + _COUNTS.size
_write, _counts = _WHOLE.pack_into, _COUNTS.pack


class Header(NamedTuple):
    """The header's fields, in their order."""

    state: int
    flags: int
    status: int
    attempt: int
    tokens_in: int
    cached: int
    tokens_out: int
    at_us: int
    first_us: int
    total_us: int
    predicted_us: int
    predicted_p90_us: int
    price_in: float
    price_out: float
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """One slot as read back: its state, what it would be as a usage record, what it holds."""

    index: int
    settled: bool
    record: UsageRecord
    charge: Charge | None = None
    guest: bool = False
    cap: Tokens | None = None
    """Tokens that the answer might have at least had; None where nothing bounds it, or little."""


def capped(cap: int | None) -> int:
    """Return the flags that say which cap an answer has; those above 16,384 tokens are none."""
    power = 0 if cap is None else cap.bit_length()
    return power << _CAP_SHIFT if power <= _CAP_MOST else 0


def tagged(key: str, tag: str) -> str:
    """Write a key and the tag of its request as one name."""
    return f"{key}{TAGGED}{tag}" if tag else key


def identity(names: tuple[str, str, str, str, str, str], *, tag: str = "") -> bytes:
    """Join request, project, key and tag, model, deployment and endpoint; cut to fit a slot."""
    request, project, key, *rest = names
    return "\n".join((request, project, tagged(key, tag), *rest)).encode()[:IDENTITY_BYTES]


def write(
    buffer: Buffer,
    index: int,
    *,
    state: int,
    header: tuple[float, ...],
    names: bytes,
    decided: int = 0,
) -> None:
    """Write a whole slot, its state byte last.

    Args:
        buffer: The table.
        index: Which slot.
        state: ``OPEN`` or ``SETTLED``.
        header: The header's fields from ``flags`` to ``price_out``, in its order.
        names: From ``identity``.
        decided: Why it was placed there, from ``domain.decided``.
    """
    at = index * SLOT_BYTES
    _write(buffer, at, FREE, *header, min(len(names), IDENTITY_BYTES), names, decided)
    buffer[at] = state


def charge(buffer: Buffer, index: int, held: Charge) -> None:
    """Write what a request holds of limits, before ``write`` with ``CHARGED`` makes it count."""
    rows = (*held.rows, 0, 0, 0, 0, 0, 0)[:6]
    at = index * SLOT_BYTES + _CHARGE_AT
    CHARGE.pack_into(buffer, at, held.tokens, held.money, len(held.rows), *rows)


def count(buffer: Buffer, index: int, tokens_out: int) -> None:
    """Write how many tokens an open slot's client is about to have received."""
    start = index * SLOT_BYTES + _TOKENS_OUT_AT
    buffer[start : start + _TOKENS_OUT.size] = _TOKENS_OUT.pack(tokens_out)


def settle(buffer: Buffer, index: int, counts: tuple[int, ...]) -> None:
    """Write an open slot's final counts; its other fields stand.

    They are packed aside and laid over the old ones: ``pack_into`` blanks its target first, and
    whoever dies there would leave a slot that reads as free, or as having used nothing.

    Args:
        buffer: The table.
        index: Which slot.
        counts: The header's fields from ``flags`` to ``total_us``.
    """
    at = index * SLOT_BYTES
    buffer[at + 1 : at + _COUNTS_END] = _counts(*counts)
    buffer[at] = SETTLED


def free(buffer: Buffer, index: int) -> None:
    """Give a slot back."""
    buffer[index * SLOT_BYTES] = FREE


def cost_of(tokens_in: int, tokens_out: int, *, price_in: float, price_out: float) -> float:
    """Money of one request: tokens times the price per million, input and output."""
    return (tokens_in * price_in + tokens_out * price_out) / 1e6


def read(buffer: Buffer, index: int) -> Flight | None:
    """Read one slot; None where it is free or holds no whole identity.

    An open slot reads as ``interrupted`` with estimated counts: its writer did not settle it.
    """
    at = index * SLOT_BYTES
    head = Header._make(HEADER.unpack_from(buffer, at))
    start = at + HEADER.size
    names = bytes(buffer[start : start + min(head.length, IDENTITY_BYTES)]).decode(
        "utf-8", "replace"
    )
    parts = names.split("\n")
    if head.state not in {OPEN, SETTLED} or len(parts) != 6:
        return None
    settled = head.state == SETTLED
    key, _, tag = parts[2].partition(TAGGED)
    record = UsageRecord(
        request=RequestId(parts[0]),
        attempt=head.attempt,
        project=ProjectId(parts[1]),
        key=KeyId(key),
        model=parts[3],
        deployment=DeploymentName(parts[4]),
        endpoint=EndpointId(parts[5]),
        status=STATUSES[head.status] if settled and head.status < len(STATUSES) else "interrupted",
        streamed=bool(head.flags & STREAMED),
        estimated=bool(head.flags & ESTIMATED) or not settled,
        tokens_in=Tokens(head.tokens_in),
        tokens_cached=Tokens(head.cached),
        tokens_out=Tokens(head.tokens_out),
        at_us=Micros(head.at_us),
        first_us=head.first_us,
        total_us=head.total_us,
        predicted_us=head.predicted_us,
        predicted_p90_us=head.predicted_p90_us,
        cost=cost_of(
            head.tokens_in, head.tokens_out, price_in=head.price_in, price_out=head.price_out
        ),
        tag=tag,
        decided=cast("tuple[int]", _DECIDED.unpack_from(buffer, at + _DECIDED_AT))[0],
    )
    held = _charge(buffer, index) if head.flags & CHARGED else None
    guest = bool(head.flags & GUEST)
    power = head.flags >> _CAP_SHIFT
    cap = Tokens(1 << power - 1) if power else None
    return Flight(index=index, settled=settled, record=record, charge=held, guest=guest, cap=cap)


def _charge(buffer: Buffer, index: int) -> Charge:
    tokens, money, count, *rows = cast(
        "tuple[int, ...]", CHARGE.unpack_from(buffer, index * SLOT_BYTES + _CHARGE_AT)
    )
    return Charge(tuple(rows[:count]), tokens, money)
