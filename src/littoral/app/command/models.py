"""``littoral models``: list, show, delta, remove, cancel, catalogue."""

from littoral.app.command.confirm import confirm
from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment, size
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.endpoint import Fit
from littoral.domain.view import DeltaView, VersionView


def list_models(*, reach: Reach = HERE) -> None:
    """List every model and version.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        models = control.models()
    shown.json({"models": plain(models)})
    if not models:
        shown.note("models.none")
        return
    rows = [
        (
            model.name,
            view.spec.name,
            phase(view),
            weight(view),
            "in use" if view.fit is None and model.deployments else fit_word(view.fit),
            ", ".join(model.deployments),
            trouble(view),
        )
        for model in models
        for view in model.versions
    ]
    head = ("MODEL", "VERSION", "STATE", "SIZE", "FITS", "DEPLOYMENTS", "WHY")
    shown.rows(head, rows, right=(3,))


def phase(view: VersionView) -> str:
    """The state of a version, with how much is here while it is fetched."""
    status = view.status
    if status is None:
        return "not fetched"
    if status.phase == "fetching" and status.total:
        return f"fetching {100 * status.done // status.total} %"
    return status.phase


def trouble(view: VersionView) -> str:
    """Why fetching a version failed, where it did."""
    return (view.status.error or "") if view.status else ""


def weight(view: VersionView) -> str:
    """The size of a version's weights, where it is known."""
    if view.status and view.status.artefact:
        return size(view.status.artefact.size)
    return "-" if view.spec.size is None else size(view.spec.size)


def fit_word(fit: Fit | None) -> str:
    """Whether it fits, in a word."""
    if fit is None:
        return "-"
    return "yes" if fit.fits else "no"


def show(name: str, /, *, reach: Reach = HERE) -> None:
    """Show one model.

    Args:
        name: The model.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        model = control.model(name)
    shown.json(plain(model))
    shown.line(f"{model.name}  {model.description}".rstrip())
    for view in model.versions:
        shown.line()
        for label, value in _facts(view):
            shown.line(f"  {label:<14}{value}")
    if model.deployments:
        shown.line()
        shown.line(f"  {'deployments':<14}{', '.join(model.deployments)}")


def _facts(view: VersionView) -> list[tuple[str, str]]:
    spec = view.spec
    rows = [
        ("version", spec.name),
        ("source", spec.source),
        ("state", ": ".join(filter(None, (phase(view), trouble(view))))),
        ("size", weight(view)),
        ("licence", spec.licence or "-"),
    ]
    if view.status and view.status.artefact:
        artefact = view.status.artefact
        facts = artefact.facts
        rows += [
            ("digest", artefact.digest),
            ("architecture", f"{facts.architecture}, {facts.parameters / 1e6:,.0f} M parameters"),
            ("quantisation", facts.quantisation),
            ("context", f"{facts.context:,} tokens"),
        ]
    if view.fit:
        need = view.fit.weights + view.fit.cache + view.fit.overhead
        told = f"{fit_word(view.fit)}: needs {size(need)}, {size(view.fit.available)} available"
        rows.append(("fits", f"{told}. {view.fit.advice}".rstrip(". ")))
    return rows


def remove(name: str, /, *, yes: bool = False, reach: Reach = HERE) -> int:
    """Remove a model; refused while a deployment uses it.

    Args:
        name: The model.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        control.model(name)
        if not confirm(shown, shown.say("confirm.model", name=name), yes=yes):
            return 1
        control.remove_model(name)
    shown.note("models.removed", model=name)
    shown.json({"removed": name})
    return 0


def cancel(name: str, /, *, reach: Reach = HERE) -> None:
    """Stop fetching a model.

    Args:
        name: The model.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        control.cancel_pull(name)
    shown.note("models.cancelled", model=name)
    shown.json({"cancelled": name})


def catalogue(*, reach: Reach = HERE) -> None:
    """List the models that can be pulled by name.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        entries = control.catalogue()
    shown.json({"entries": plain(entries)})
    rows = [
        (
            entry.name,
            "-" if not (bytes_ := entry.spec.versions[-1].size) else size(bytes_),
            entry.spec.versions[-1].licence or "-",
            "yes" if entry.present else "no",
            entry.spec.description,
        )
        for entry in entries
    ]
    shown.rows(("NAME", "SIZE", "LICENCE", "PRESENT", "DESCRIPTION"), rows, right=(1,))


def delta(parent: str, child: str, /, *, reach: Reach = HERE) -> None:
    """Make the delta between two versions of a model, and show what each way costs.

    Args:
        parent: The version that nodes have, as model@version.
        child: The one that they shall get, as model@version.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        view = control.delta(parent, child)
    shown.json(plain(view))
    ways = (("whole", view.whole), ("delta", view.delta), ("adapter", view.adapter))
    rows = [
        (way, size(bytes_), f"{100 * bytes_ / max(1, view.whole):.1f} %", _use(way, view))
        for way, bytes_ in ways
        if bytes_ is not None
    ]
    shown.rows(("WAY", "SIZE", "SHARE", "USED"), rows, right=(1, 2))


def _use(way: str, view: DeltaView) -> str:
    """When nodes get it that way."""
    if way == "delta":
        return "where the parent is" if view.kept else "never: it saves too little"
    if way == "adapter":
        return "where the parent is"
    return "otherwise"


def prune(*, dry_run: bool = False, reach: Reach = HERE) -> None:
    """Remove from control's store what nothing has referred to for a day; it is done by itself too.

    Args:
        dry_run: Remove nothing, only show what is unused.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        view = control.store() if dry_run else control.prune_store()
    shown.json(plain(view))
    rows = [
        (each.digest[:19], size(each.size), moment(each.since_us), moment(each.until_us))
        for each in view.unused
    ]
    if rows:
        shown.rows(("BLOB", "SIZE", "UNUSED SINCE", "STAYS UNTIL"), rows, right=(1,))
    shown.note("models.store", count=view.blobs, size=size(view.size), unused=len(view.unused))
    if view.removed:
        shown.note("models.pruned", count=len(view.removed), size=size(view.freed))
    if view.fetching:
        shown.note("models.prune_waits")
