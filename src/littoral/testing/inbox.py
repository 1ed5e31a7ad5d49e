"""An inbox in memory."""

from collections.abc import Mapping, Sequence

from littoral.domain.audit import Numbered
from littoral.domain.ids import NodeId
from littoral.domain.news import NumberedEvent, Wanted
from littoral.domain.node import Event
from littoral.domain.outbox import LATEST_US, Batch, Lane, Mark, Receipt, Rollup, judge, receipt
from littoral.domain.units import Micros


class MemoryInbox:
    """Twin of ``Inbox``."""

    def __init__(self) -> None:
        self._cursors: dict[tuple[NodeId, str], dict[Lane, Mark]] = {}
        self._events: dict[tuple[str, Micros, str, str], NumberedEvent] = {}
        self._notes: list[Numbered] = []
        self._rollups: dict[NodeId, dict[Micros, Rollup]] = {}

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply what follows the cursor; returns what became of it."""
        marks = self._cursors.setdefault((node, outbox), {})
        before = marks.get(batch.lane, Mark())
        judgement, rows = judge(before, batch)
        for row in rows:
            if row.event is not None:
                self._add(node, row.event)
            note = row.finding or row.vote
            if note is not None:
                self._notes.append(Numbered(number=len(self._notes) + 1, note=note))
            if row.rollup is not None:
                self._rollups.setdefault(node, {})[row.rollup.at_us] = row.rollup
        done = receipt(judgement, rows, before)
        if done.mark.seq:
            marks[batch.lane] = done.mark
        return done

    def cursors(self, node: NodeId, outbox: str) -> Mapping[Lane, Mark]:
        """How far each lane of an outbox is applied."""
        return dict(self._cursors.get((node, outbox), {}))

    def take(self, events: Sequence[Event]) -> None:
        """Keep events of control's own."""
        for event in events:
            self._add("", event)

    def events(self, wanted: Wanted) -> Sequence[NumberedEvent]:
        """The last events that were asked for, oldest first."""
        found = [each for each in self._events.values() if _fits(each, wanted)]
        return found[-wanted.limit :]

    def noted(self) -> int:
        """The number of the last finding or vote."""
        return len(self._notes)

    def notes(self, after: int, *, limit: int) -> Sequence[Numbered]:
        """Findings and votes numbered above ``after``, in order."""
        return self._notes[after : after + limit]

    def rollups(
        self, node: NodeId, *, limit: int, since_us: int = 0, until_us: int = LATEST_US
    ) -> Sequence[Rollup]:
        """The last measurements of a node from a moment to before another, oldest first."""
        found = self._rollups.get(node, {})
        return [found[at] for at in sorted(found) if since_us <= at < until_us][-limit:]

    def _add(self, node: str, event: Event) -> None:
        known = (node, event.at_us, event.code, event.subject)
        number = len(self._events) + 1
        self._events.setdefault(known, NumberedEvent(number=number, event=event, node=node))


def _fits(each: NumberedEvent, wanted: Wanted) -> bool:
    code = each.event.code
    of_code = code.startswith(wanted.code) if wanted.code.endswith(".") else code == wanted.code
    return (
        each.number > wanted.after
        and (wanted.nodes is None or each.node in wanted.nodes)
        and (not wanted.code or of_code)
        and wanted.level in {"", each.event.level}
    )
