"""Recorded: predictions and what came, prices, policies, tags, as placement's commands read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Annotated, NamedTuple

from cyclopts import Parameter

from littoral.app.command import parsing
from littoral.client.admin import Admin
from littoral.domain.chunk import Chunk
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import Damaged, Denied, InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.node import Node
from littoral.domain.policy import Policy, PolicySpec
from littoral.domain.units import Micros
from littoral.domain.usage import UsageRecord
from littoral.placement import columns
from littoral.placement.history import Priced, priced

MOST = 20_000


def bounded(limit: int) -> int:
    """Check how many records are asked for.

    Raises:
        InvalidInput: Too few or too many.
    """
    if not 1 <= limit <= MOST:
        raise InvalidInput(f"--limit: {limit} is not within 1 to {MOST}")
    return limit


def prices(control: Admin) -> Mapping[str, Priced]:
    """What each deployment takes and how many requests it serves at once."""
    return {
        each.metadata.name: priced(each.metadata.name, spec)
        for each in control.resources("Deployment")
        if isinstance(spec := each.spec, DeploymentSpec)
    }


def tags(control: Admin) -> Mapping[str, str]:
    """The tag of each key; nothing where the caller may not see keys, as records have tags too."""
    try:
        known = control.keys()
    except Denied:
        return {}
    return {each.id: each.tag for each in known}


def policies(control: Admin) -> list[Policy]:
    """The policies that hold now."""
    return [
        Policy(name=each.metadata.name, spec=spec)
        for each in control.resources("Policy")
        if isinstance(spec := each.spec, PolicySpec)
    ]


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which records to look at.

    Args:
        since: From when: 7d (that long ago), a date, or a time.
        until: Until when, likewise.
        node: Only what this node sent, by name or id.
        model: Only this model, by the name that clients ask for.
        of: Only this key, by its id.
        project: Only this project.
        tag: Only this tag.
    """

    since: str = "7d"
    until: str | None = None
    node: str | None = None
    model: str | None = None
    of: Annotated[str | None, Parameter(name="--of-key")] = None
    project: str | None = None
    tag: str | None = None

    def means(self, record: UsageRecord) -> bool:
        """Whether a record is of the key, project and tag that are wanted."""
        return (
            self.of in {None, record.key}
            and self.project in {None, record.project}
            and self.tag in {None, record.tag}
        )


WEEK = Look()


class Sent(NamedTuple):
    """A record, and the node that sent it."""

    node: NodeId
    usage: UsageRecord


@dataclass(slots=True)
class Kept:
    """Records as chunks, opened a day at a time, as often as they are gone through, in order.

    ``unreadable`` counts those that were kept and cannot be read any more.
    """

    chunks: Sequence[Chunk]
    look: Look
    since_us: int
    until_us: int
    unreadable: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[UsageRecord]:
        """Each record that is wanted, in the order in which they began."""
        return (each.usage for each in self.sent())

    def sent(self) -> Iterator[Sent]:
        """The same with the node that sent it."""
        self.unreadable = 0
        for _, day in groupby(self.chunks, lambda chunk: chunk.id.day):
            found = [each for chunk in day for each in self._opened(chunk)]
            yield from sorted(found, key=lambda each: each.usage.at_us)

    def _opened(self, chunk: Chunk) -> Iterator[Sent]:
        try:
            found = columns.records(chunk.body)
        except Damaged:
            self.unreadable += chunk.count
            return
        for each in found:
            if self.since_us <= each.at_us < self.until_us and self.look.means(each):
                yield Sent(chunk.id.node, each)


def kept(control: Admin, look: Look, *, now: Micros) -> Kept:
    """Ask for all records that are wanted."""
    since = parsing.moment(look.since, now=now, what="--since")
    until = now if look.until is None else parsing.moment(look.until, now=now, what="--until")
    query: dict[str, str | int | None] = {
        "since": since,
        "until": until,
        "node": look.node,
        "model": look.model,
    }
    chunks: list[Chunk] = []
    after: str | None = None
    while after != "":
        page = control.chunks({**query, "after": after})
        chunks += page.chunks
        after = page.next
    return Kept(chunks=chunks, look=look, since_us=since, until_us=until)


def names_of(nodes: Sequence[Node]) -> Mapping[NodeId, str]:
    """What nodes are called."""
    return {each.id: each.name for each in nodes}
