"""A ledger in memory."""

from collections.abc import Sequence
from datetime import date
from math import fsum

from littoral.domain.chunk import Line
from littoral.domain.errors import InvalidInput
from littoral.domain.ids import KeyId, NodeId, ProjectId
from littoral.domain.outbox import Batch, Mark, Receipt, judge, receipt
from littoral.domain.units import DAY_US, Micros
from littoral.domain.usage import UsageRecord, UsageSum

GROUPS = ("project", "key", "model", "day", "node", "tag")


class MemoryLedger:
    """Twin of ``Ledger``."""

    def __init__(self) -> None:
        self._cursors: dict[tuple[NodeId, str], Mark] = {}
        self._lines: dict[tuple[str, int], tuple[NodeId, UsageRecord]] = {}
        self._requests: dict[str, list[UsageRecord]] = {}

    def apply(self, node: NodeId, outbox: str, batch: Batch) -> Receipt:
        """Apply what follows the cursor; returns what became of it."""
        before = self.cursor(node, outbox)
        judgement, rows = judge(before, batch)
        for record in (row.usage for row in rows):
            if record is not None:
                key = (record.request, record.attempt)
                if key not in self._lines:
                    self._lines[key] = (node, record)
                    self._requests.setdefault(record.request, []).append(record)
        done = receipt(judgement, rows, before)
        self._cursors[node, outbox] = done.mark
        return done

    def cursor(self, node: NodeId, outbox: str) -> Mark:
        """How far an outbox is applied."""
        return self._cursors.get((node, outbox), Mark())

    def sums(
        self,
        *,
        by: Sequence[str],
        since_us: Micros | None = None,
        until_us: Micros | None = None,
        project: ProjectId | None = None,
        key: KeyId | None = None,
    ) -> Sequence[UsageSum]:
        """Sums of records from ``since_us`` to before ``until_us``, grouped and ordered by ``by``.

        Raises:
            InvalidInput: ``by`` names something that cannot be grouped by.
        """
        for name in by:
            if name not in GROUPS:
                known = ", ".join(GROUPS)
                raise InvalidInput(f"cannot group by {name!r}; known: {known}", param="by")
        groups: dict[tuple[str, ...], list[UsageRecord]] = {}
        for node, record in self._lines.values():
            wanted = (project in {None, record.project}) and (key in {None, record.key})
            early = since_us is not None and record.at_us < since_us
            if wanted and not early and (until_us is None or record.at_us < until_us):
                label = tuple(_label(name, node, record) for name in by)
                groups.setdefault(label, []).append(record)
        return [_sum(dict(zip(by, label, strict=True)), groups[label]) for label in sorted(groups)]

    def record(self, request: str) -> Sequence[UsageRecord]:
        """Every attempt of one request, in order."""
        return sorted(self._requests.get(request, ()), key=lambda record: record.attempt)

    def latest(
        self, *, limit: int, until_us: Micros | None = None, project: ProjectId | None = None
    ) -> Sequence[UsageRecord]:
        """At most ``limit`` records that began before ``until_us``, the latest first."""
        found = [
            record
            for _, record in self._lines.values()
            if project in {None, record.project} and (until_us is None or record.at_us < until_us)
        ]
        return sorted(found, key=lambda each: (-each.at_us, each.request, each.attempt))[:limit]

    def since(self, number: int, limit: int) -> Sequence[Line]:
        """At most ``limit`` lines behind a number, in the order in which they were applied."""
        every = list(self._lines.values())[number : number + limit]
        return [
            Line(number=at, node=node, usage=record)
            for at, (node, record) in enumerate(every, number + 1)
        ]


def _label(name: str, node: NodeId, record: UsageRecord) -> str:
    day = date.fromordinal(date(1970, 1, 1).toordinal() + record.at_us // DAY_US)
    values = {
        "project": record.project,
        "key": record.key,
        "model": record.model,
        "day": day.isoformat(),
        "node": node,
        "tag": record.tag,
    }
    return values[name]


def _sum(label: dict[str, str], records: Sequence[UsageRecord]) -> UsageSum:
    return UsageSum(
        project=label.get("project", ""),
        key=label.get("key", ""),
        model=label.get("model", ""),
        day=label.get("day", ""),
        node=label.get("node", ""),
        tag=label.get("tag", ""),
        requests=len({record.request for record in records}),
        tokens_in=sum(record.tokens_in for record in records),
        tokens_cached=sum(record.tokens_cached for record in records),
        tokens_out=sum(record.tokens_out for record in records),
        cost=fsum(record.cost for record in records),
        estimated=sum(record.estimated for record in records),
    )
