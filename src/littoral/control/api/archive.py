"""Archive: what was predicted and what came, record by record; and figures for Prometheus."""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from fastapi.responses import Response

from littoral.control.api.fleet import limit_of
from littoral.control.api.usage import moment_of, project_of
from littoral.control.desk import Desk
from littoral.control.exposition import MEDIA, exposed
from littoral.control.route import Call, Narrowed, Needs, Route
from littoral.control.watching import families, node_of
from littoral.domain.chunk import ALL, FIRST, Chunk, ChunkId, ChunkPage, RecordPage, Stretch
from littoral.domain.errors import Damaged, InvalidInput
from littoral.domain.ids import NodeId
from littoral.domain.prior import PredictorView
from littoral.domain.usage import UsageRecord
from littoral.placement import columns

USUAL, MOST = 1000, 20_000
"""Records after which an answer ends with the chunk that it is in."""
_NEXT: Final = re.compile(r"(-?\d{1,9})/(\d{1,9})/([^/]*)/(.*)", re.DOTALL)
_STRETCH: Final = {
    "since": "From this time: microseconds of UTC, or a date or time of ISO 8601.",
    "until": "Before this time, likewise.",
    "node": "Only what this node sent, by name or id.",
    "model": "Only this model, by the name that is asked for.",
    "after": "Where the answer before ended: its ``next``.",
}


class ArchiveApi:
    """Handlers of the archive."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/records",
                handler=self.records,
                policy=Narrowed("a key without the scope read sees its own project only"),
                summary="Requests as predicted and as they were, by day, node and model.",
                query={
                    **_STRETCH,
                    "key": "Only this key, by id.",
                    "project": "Only this project.",
                    "tag": "Only this tag.",
                    "limit": f"About so many at most, 1 to {MOST}.",
                },
                gives=RecordPage,
            ),
            Route(
                method="GET",
                path="/api/v1/records/chunks",
                handler=self.chunks,
                policy=Needs("usage.read"),
                summary="The same in compressed columns, a fifth of the bytes.",
                query=_STRETCH,
                gives=ChunkPage,
            ),
            Route(
                method="GET",
                path="/api/v1/predictors",
                handler=self.predictors,
                policy=Needs("usage.read"),
                summary="What nodes have learned of their engines, and how far it is trusted.",
                gives=tuple[PredictorView, ...],
            ),
            Route(
                method="GET",
                path="/api/v1/metrics",
                handler=self.metrics,
                policy=Needs("usage.read"),
                summary="Predictions, decisions and money as Prometheus reads them.",
                gives=str,
            ),
        )

    async def chunks(self, call: Call) -> ChunkPage:
        """A page of chunks."""
        found = await self._page(_stretch(call, self._desk), _after(call))
        return ChunkPage(chunks=tuple(found), next=_next(found))

    async def records(self, call: Call) -> RecordPage:
        """A page of records: of so many chunks as one answer looks at, however few are wanted."""
        wanted, after, project = _stretch(call, self._desk), _after(call), project_of(call)
        limit = limit_of(call, usual=USUAL, most=MOST)
        key, tag = call.query.get("key"), call.query.get("tag")
        rows: list[UsageRecord] = []
        unreadable = 0
        found = await self._page(wanted, after)
        for chunk in found:
            if len(rows) >= limit:
                break
            after = chunk.id
            try:
                opened = await self._desk.workers.records(partial(columns.records, chunk.body))
            except Damaged:
                unreadable += chunk.count
                continue
            rows += [
                each
                for each in opened
                if wanted.since_us <= each.at_us < wanted.until_us
                and project in {None, each.project}
                and key in {None, each.key}
                and tag in {None, each.tag}
            ]
        more = _named(after) if found else ""
        return RecordPage(records=tuple(rows), next=more, unreadable=unreadable)

    async def predictors(self, call: Call) -> Sequence[PredictorView]:
        """All predictors that nodes told of."""
        del call
        return self._desk.priors.predictors()

    async def metrics(self, call: Call) -> Response:
        """All families."""
        del call
        desk = self._desk
        await desk.archive.settle()
        specs = await desk.workers.state(desk.resources.specs)
        made = await desk.workers.records(partial(families, desk, specs))
        return Response(exposed(made), media_type=MEDIA, headers={"cache-control": "no-store"})

    async def _page(self, wanted: Stretch, after: ChunkId) -> Sequence[Chunk]:
        if after == FIRST:
            await self._desk.archive.settle()
        return await self._desk.archive.page(wanted, after)


def _stretch(call: Call, desk: Desk) -> Stretch:
    since, until = moment_of(call, "since"), moment_of(call, "until")
    node = call.query.get("node", "")
    return replace(
        ALL,
        since_us=ALL.since_us if since is None else since,
        until_us=ALL.until_us if until is None else until,
        node=node_of(desk, node) if node else "",
        model=call.query.get("model", ""),
    )


def _next(found: Sequence[Chunk]) -> str:
    return _named(found[-1].id) if found else ""


def _named(name: ChunkId) -> str:
    """A chunk's name as text: the model comes last, as it may have any letter."""
    return "/".join((str(name.day), str(name.part), name.node, name.model))


def _after(call: Call) -> ChunkId:
    text = call.query.get("after", "")
    if not text:
        return FIRST
    found = _NEXT.fullmatch(text)
    if found is None:
        raise InvalidInput(f"after: {text!r:.80} is no answer's next", param="after")
    day, part, node, model = found.groups()
    return ChunkId(int(day), NodeId(node), model, int(part))
