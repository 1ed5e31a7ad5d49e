"""The engine of a deployment: as asked, else the one that runs the model's weights."""

from littoral.app.command import obtain
from littoral.app.command.screen import Screen
from littoral.client.admin import Admin
from littoral.domain.deployment import FORMATS, EngineKind
from littoral.domain.errors import UnknownModel
from littoral.domain.model import Format
from littoral.domain.view import ModelView, PullRequest, VersionView

USUAL: EngineKind = "llama_cpp"
"""Where it is not known yet what the weights are."""


def engine_for(
    shown: Screen, control: Admin, model: str, *, asked: EngineKind | None, fetch: bool
) -> EngineKind:
    """Choose the engine, and see that there is something for it to run.

    Args:
        shown: Where progress is shown.
        control: The admin client.
        model: The model, or name@version.
        asked: The engine that was asked for, if any.
        fetch: Whether a model of the catalogue may be fetched, and waited for, to know its weights.

    Raises:
        UnknownModel: There is no such model here, nor may it be fetched.
        UpstreamFailed: It could not be fetched.
    """
    if asked is not None and asked not in FORMATS:
        return asked
    name, _, version = model.partition("@")
    known: dict[str, ModelView] = {view.name: view for view in control.models()}
    if name not in known:
        if not fetch or name not in {entry.name for entry in control.catalogue()}:
            raise UnknownModel(
                f"no model {name!r} here; known: {', '.join(known) or 'none'}. "
                f"Fetch it first: littoral models pull {name}"
            )
        obtain.request(control, name, name=None, sha256=None)
        known[name] = control.model(name)
    if asked is not None:
        return asked
    view = version_of(known[name], version)
    if view is None:
        return USUAL
    if fetch and _format(view) is None:
        control.pull(name, PullRequest(version=view.spec.name))
        view = obtain.follow(control, name, shown=shown, version=view.spec.name)
    form = _format(view)
    fitting: list[EngineKind] = [engine for engine, runs in FORMATS.items() if runs == form]
    return fitting[0] if fitting else USUAL


def version_of(model: ModelView, name: str) -> VersionView | None:
    """The version of a model by name, by default the last one; None where there is none."""
    named = [view for view in model.versions if name in {"", view.spec.name}]
    return named[-1] if named else None


def _format(view: VersionView) -> Format | None:
    artefact = view.status.artefact if view.status else None
    return artefact.facts.format if artefact else None
