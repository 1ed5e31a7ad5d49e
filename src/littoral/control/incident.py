"""Incident: what rows of a node say that an outbox should never show."""

from collections.abc import Iterator

from littoral.domain.ids import NodeId
from littoral.domain.outbox import Batch, Receipt


def incidents(node: NodeId, batch: Batch, done: Receipt) -> Iterator[tuple[str, str]]:
    """Codes and messages of what was wrong with a batch."""
    where = f"lane {batch.lane} of {node}"
    if done.judgement == "gap":
        known = f"{where} goes on at {batch.first}, known is {done.mark.seq}"
        yield "outbox.gap", f"{known}: nothing of it was applied"
    if done.judgement == "forked":
        other = f"{where} brings other rows than known behind {done.mark.seq}"
        yield "node.cloned", f"{other}: its disk was copied, or restored from a copy"
    doubtful = sum(1 + each.last - each.first for each in batch.redated if each.by_us is None)
    if doubtful and done.judgement == "applied":
        clock = "a clock that was wrong until the machine went off"
        yield "outbox.dates_doubtful", f"{doubtful} rows of {where} are dated by {clock}"
    if done.damaged:
        yield "outbox.rows_damaged", f"{done.damaged} rows of {where} are not readable"
    if done.missing:
        yield "outbox.rows_dropped", f"{done.missing} rows of {where} were dropped unsent"
