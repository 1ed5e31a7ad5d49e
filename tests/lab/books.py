"""Books: what control has written down, beside what the clients got."""

from collections.abc import Sequence

from e2e import load
from lab.report import Report
from lab.traffic import Asked
from lab.world import World


def compared(world: World, report: Report, asked: Sequence[Asked]) -> list[dict]:
    """Wait for all records, stop the cloud and compare; the ledger's rows."""
    drained = world.until(world.cloud.flushed, "every outbox to be empty", timeout_s=120.0)
    report.say("outboxes empty after the traffic's end, s", round(drained, 1))
    rows = world.cloud.ledger()
    tally = load.Tally([a.got for a in asked])
    wrong = load.compare(tally, rows)
    seen = wrong[:5] or f"{len(rows)} rows"
    report.must("the ledger is what the clients got", seen, holds=not wrong)
    whole = tally.complete()
    ok = [row for row in rows if row["status"] == "ok" and row["request"] in whole]
    got = sum(g.tokens_out for g in whole.values())
    booked = sum(row["tokens_out"] for row in ok)
    seen = f"{got} got, {booked} booked"
    report.must("tokens of whole answers are equal", seen, holds=got == booked)
    return rows
