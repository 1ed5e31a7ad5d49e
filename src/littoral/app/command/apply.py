"""``littoral apply`` and ``diff``: make what is written in YAML files true."""

from typing import Annotated

from cyclopts import Parameter

from littoral.app.command import documents
from littoral.app.command.changes import any_change, show_changes
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin

File = Annotated[str, Parameter(name=["--file", "-f"], allow_leading_hyphen=True)]


def apply(*, file: File, dry_run: bool = False, reach: Reach = HERE) -> None:
    """Create or change what the files declare; all are checked before the first is written.

    Args:
        file: A YAML file, a folder of them, or - for standard input.
        dry_run: Only say what would change.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wanted = documents.read(file)
    with admin(reach) as control:
        changes = control.apply(wanted, dry_run=dry_run)
    show_changes(shown, changes)
    if dry_run:
        shown.note("deploy.dry")
    shown.json({"changes": plain(changes)})


def diff(*, file: File, reach: Reach = HERE) -> int:
    """Show what apply would change; the exit status is 1 when there is something.

    Args:
        file: A YAML file, a folder of them, or - for standard input.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wanted = documents.read(file)
    with admin(reach) as control:
        changes = control.apply(wanted, dry_run=True)
    differing = [change for change in changes if any_change([change])]
    show_changes(shown, differing)
    if not differing:
        shown.note("apply.none")
    shown.json({"changes": plain(changes)})
    return 1 if differing else 0
