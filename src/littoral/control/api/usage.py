"""Usage: sums of the ledger, and the records of one request."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from littoral.control.api.fleet import limit_of
from littoral.control.desk import Desk
from littoral.control.route import Call, Narrowed, Route
from littoral.domain.errors import Denied, InvalidInput, UnknownName
from littoral.domain.ids import KeyId, ProjectId
from littoral.domain.units import Micros
from littoral.domain.view import RequestRecords, UsageRows
from littoral.trust.role import allows

GROUPS = ("project", "key", "model", "day", "node", "tag")
USUAL, MOST = 1000, 20_000
"""Records of one answer, where nothing is asked for, and where all that may be is."""
MOST_DIGITS = 18
"""Of a moment: one with more is no microseconds."""
_OWN = Narrowed("a key without the scope read sees its own project only")


class UsageApi:
    """Handlers of the ledger."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def routes(self) -> Sequence[Route]:
        """Its operations."""
        return (
            Route(
                method="GET",
                path="/api/v1/usage",
                handler=self.sums,
                policy=_OWN,
                summary="Sums of usage.",
                query={
                    "by": f"Any of {', '.join(GROUPS)}, with commas.",
                    "since": "From this time: microseconds of UTC, or a date or time of ISO 8601.",
                    "until": "Before this time, likewise.",
                    "project": "Only this project.",
                    "key": "Only this key.",
                },
                gives=UsageRows,
            ),
            Route(
                method="GET",
                path="/api/v1/requests",
                handler=self.latest,
                policy=_OWN,
                summary="Records of requests, the latest first.",
                query={
                    "limit": f"At most so many, 1 to {MOST}.",
                    "until": "Begun before this time: microseconds of UTC, or ISO 8601.",
                    "project": "Only this project.",
                },
                gives=RequestRecords,
            ),
            Route(
                method="GET",
                path="/api/v1/requests/{id}",
                handler=self.request,
                policy=_OWN,
                summary="Every attempt of one request.",
                gives=RequestRecords,
            ),
        )

    async def sums(self, call: Call) -> UsageRows:
        """Sum up usage."""
        by = tuple(name for name in call.query.get("by", "").split(",") if name)
        for name in by:
            if name not in GROUPS:
                raise InvalidInput(f"by: no {name!r}; known: {', '.join(GROUPS)}", param="by")
        key = call.query.get("key")
        rows = await self._desk.workers.ledger(
            partial(
                self._desk.ledger.sums,
                by=by,
                since_us=moment_of(call, "since"),
                until_us=moment_of(call, "until"),
                project=project_of(call),
                key=None if key is None else KeyId(key),
            )
        )
        return UsageRows(rows=tuple(rows))

    async def latest(self, call: Call) -> RequestRecords:
        """List records."""
        found = await self._desk.workers.ledger(
            partial(
                self._desk.ledger.latest,
                limit=limit_of(call, usual=USUAL, most=MOST),
                until_us=moment_of(call, "until"),
                project=project_of(call),
            )
        )
        return RequestRecords(records=tuple(found))

    async def request(self, call: Call) -> RequestRecords:
        """Find a request's records."""
        wanted = call.path["id"]
        found = await self._desk.workers.ledger(partial(self._desk.ledger.record, wanted))
        project = project_of(call)
        seen = tuple(item for item in found if project in {None, item.project})
        if not seen:
            raise UnknownName(f"the ledger has no request {wanted!r}")
        return RequestRecords(records=seen)


def project_of(call: Call) -> ProjectId | None:
    """The project to look at; None for all of them, which needs the scope read."""
    asked = call.query.get("project")
    own = call.principal.project
    if allows(call.principal.scopes, "usage.read"):
        return None if asked is None else ProjectId(asked)
    if asked not in {None, own}:
        raise Denied(f"this key sees the project {own!r} only", param="project")
    return own


def moment_of(call: Call, name: str) -> Micros | None:
    """A moment of the query; None where it is not given.

    Raises:
        InvalidInput: It is none.
    """
    text = call.query.get(name)
    if text is None:
        return None
    if text.isdecimal() and len(text) <= MOST_DIGITS:
        return Micros(int(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{name}: {text!r:.80} is neither microseconds nor a date such as 2026-11-22",
            param=name,
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Micros(round(moment.timestamp() * 1e6))
