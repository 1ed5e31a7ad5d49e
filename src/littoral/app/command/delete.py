"""``littoral delete``: remove declared resources."""

from typing import Annotated, cast

from cyclopts import Parameter

from littoral.app.command import documents
from littoral.app.command.confirm import confirm
from littoral.app.command.kinds import kind_of
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.resource import SPECS, Kind


def delete(
    kind: str | None = None,
    name: str | None = None,
    /,
    *,
    file: Annotated[str | None, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)] = None,
    yes: bool = False,
    reach: Reach = HERE,
) -> int:
    """Delete one resource, or every one that the files name.

    Args:
        kind: project, model, upstream or deployment.
        name: Which one.
        file: A YAML file, a folder of them, or - for standard input.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wanted = _wanted(kind, name, file)
    one = len(wanted) == 1
    question = (
        shown.say("confirm.resource", kind=wanted[0][0], name=wanted[0][1])
        if one
        else shown.say("confirm.file", count=len(wanted))
    )
    if not confirm(shown, question, yes=yes):
        return 1
    deleted: list[dict[str, str]] = []
    with admin(reach) as control:
        for each, called in wanted:
            try:
                control.delete(each, called)
            except UnknownName:
                if one:
                    raise
                shown.note("delete.absent", kind=each, name=called)
                continue
            shown.note("delete.done", kind=each, name=called)
            deleted.append({"kind": each, "name": called})
    shown.json({"deleted": deleted})
    return 0


def _wanted(kind: str | None, name: str | None, file: str | None) -> list[tuple[Kind, str]]:
    if file is not None:
        if kind is not None:
            raise InvalidInput("give either KIND and NAME, or --file, not both")
        order = [kind_of(kind) for kind in reversed(tuple(SPECS))]
        pairs: list[tuple[Kind, str]] = [
            (kind_of(str(each["kind"])), str(cast("dict[str, object]", each["metadata"])["name"]))
            for each in documents.read(file)
        ]
        return sorted(pairs, key=lambda pair: order.index(pair[0]))
    if kind is None or name is None:
        raise InvalidInput("say what to delete: littoral delete deployment NAME, or -f FILE")
    return [(kind_of(kind), name)]
