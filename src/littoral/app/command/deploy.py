"""``littoral deploy``: serve a model under a name."""

import re
from dataclasses import dataclass, replace
from typing import Annotated

from cyclopts import Parameter

from littoral.app.command import parsing
from littoral.app.command.changes import show_changes
from littoral.app.command.choice import engine_for
from littoral.app.command.encoding import plain
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.readiness import wait_ready
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.deployment import EngineKind
from littoral.domain.units import Seconds

NOT_NAME = re.compile(r"[^a-z0-9._-]+")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How the model is served.

    Args:
        name: Name of the deployment; by default made from the model's.
        engine: What runs it; by default what runs the model's weights.
        serves: The model name that clients ask for; by default the deployment's name.
        slots: Requests at one time; by default from the host's memory.
        context: Tokens a request may hold, prompt and answer.
        max_tokens: Most tokens an answer may have.
        upstream: For engine openai: the upstream's name.
        option: Engine option as name=value; may be given often.
    """

    name: str | None = None
    engine: EngineKind | None = None
    serves: str | None = None
    slots: int | None = None
    context: int | None = None
    max_tokens: int | None = None
    upstream: str | None = None
    option: Annotated[tuple[str, ...], Parameter(negative=())] = ()


WANTED = Wanted()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Going:
    """How long the command goes on.

    Args:
        wait: Wait until it is ready.
        timeout: Seconds to wait.
        dry_run: Only say what would change.
    """

    wait: Annotated[bool, Parameter(negative="--no-wait")] = True
    timeout: float = 300.0
    dry_run: bool = False


GOING = Going()


def deploy(
    model: str, /, *, wanted: Wanted = WANTED, going: Going = GOING, reach: Reach = HERE
) -> None:
    """Create or change a deployment and wait until it serves; a catalogue's model is fetched.

    Args:
        model: The model, or name@version; for engine openai the upstream's own model name.
        wanted: How it is served.
        going: How long to go on.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    name = wanted.name or name_of(model)
    with admin(reach) as control:
        fetch = going.wait and not going.dry_run
        engine = engine_for(shown, control, model, asked=wanted.engine, fetch=fetch)
        declared = document(model, name, replace(wanted, engine=engine))
        changes = control.apply([declared], dry_run=going.dry_run)
        show_changes(shown, changes)
        if going.dry_run:
            shown.note("deploy.dry")
            shown.json({"changes": plain(changes)})
            return
        if not going.wait:
            shown.note("deploy.later", name=name)
            shown.json({"changes": plain(changes)})
            return
        view = wait_ready(control, name, shown=shown, timeout_s=Seconds(going.timeout))
        shown.json({"changes": plain(changes), "deployment": plain(view)})


def name_of(model: str) -> str:
    """The deployment's name for a model's."""
    return NOT_NAME.sub("-", model.partition("@")[0].lower()).strip("-._")[:63].strip("-._")


def document(model: str, name: str, wanted: Wanted) -> dict[str, object]:
    """The declaration of a deployment; what was not given is left out."""
    spec: dict[str, object] = {"engine": wanted.engine, "model": model}
    given = {
        "serves": wanted.serves,
        "slots": wanted.slots,
        "context": wanted.context,
        "max_tokens": wanted.max_tokens,
        "upstream": wanted.upstream,
        "options": dict(parsing.option(text) for text in wanted.option) or None,
    }
    spec |= {field: value for field, value in given.items() if value is not None}
    return {"kind": "Deployment", "metadata": {"name": name}, "spec": spec}
