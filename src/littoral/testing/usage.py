"""Usage records for tests, alike but for their number and what a test changes, and their rows."""

from collections.abc import Sequence
from dataclasses import replace

from littoral.domain.ids import DeploymentName, EndpointId, KeyId, ProjectId, RequestId
from littoral.domain.outbox import Batch, Mark, Row
from littoral.domain.ports import Outbox
from littoral.domain.units import Micros, Tokens
from littoral.domain.usage import UsageRecord


def usage_record(number: int | str, **changes: object) -> UsageRecord:
    """Record ``rq_<number>``: one token in, ``number`` out where that is a number.

    Args:
        number: Names the request.
        changes: Fields of the record.
    """
    out = number if isinstance(number, int) else 1
    record = UsageRecord(
        request=RequestId(f"rq_{number}"),
        attempt=0,
        project=ProjectId("default"),
        key=KeyId("k1"),
        model="tiny",
        deployment=DeploymentName("d"),
        endpoint=EndpointId("ep_1"),
        status="ok",
        streamed=True,
        estimated=False,
        tokens_in=Tokens(1),
        tokens_cached=Tokens(0),
        tokens_out=Tokens(out),
        at_us=Micros(1_800_000_000_000_000),
        first_us=1,
        total_us=2,
        predicted_us=3,
        predicted_p90_us=4,
        cost=0.5,
    )
    return replace(record, **changes)


def usage_batch(records: Sequence[UsageRecord], first: int = 1, *, disk: str = "") -> Batch:
    """A batch of the ledger lane as a node sends it.

    Args:
        records: Of its rows.
        first: Number of the first row.
        disk: Rows of one disk chain to each other, and not to those of another.
    """
    rows = tuple(
        Row(seq=seq, mac=_mac(seq, disk), usage=record) for seq, record in enumerate(records, first)
    )
    return Batch(lane="ledger", prev_mac=_mac(first - 1, disk), rows=rows)


def _mac(seq: int, disk: str) -> bytes:
    return f"{disk}{seq}".encode() if seq else b""


async def usage_rows(outbox: Outbox, after: int = 0) -> list[Row]:
    """All rows of an outbox's ledger lane above a number, however many batches they take."""
    found: list[Row] = []
    while rows := (await outbox.read("ledger", after, 500)).rows:
        found += rows
        after = rows[-1].seq
    return found


async def usage_waiting(outbox: Outbox) -> int:
    """How many usage records control does not have yet."""
    return (await outbox.level()).lanes["ledger"].waiting


async def is_stored(outbox: Outbox, seq: int, *, safe: bool = False) -> None:
    """Tell an outbox that control has its ledger lane up to ``seq``, or ``safe`` elsewhere too."""
    batch = await outbox.read("ledger", max(0, seq - 1), 1)
    mark = batch.end if batch.rows and seq else Mark(seq=seq)
    await outbox.stored("ledger", mark, safe=seq if safe else 0)
