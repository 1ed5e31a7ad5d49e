"""``littoral up``: control and one node on this host."""

import contextlib
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from littoral.app.command.launch import Ended, Started, background, become, beside
from littoral.app.command.local import running
from littoral.app.command.reach import HERE, Reach, absolute, settings_of
from littoral.app.command.screen import screen
from littoral.app.settings import Settings
from littoral.app.supervisor import is_joined
from littoral.domain.deployment import EngineKind
from littoral.domain.errors import InvalidInput


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Start:
    """How to start.

    Args:
        detach: Run in the background; else this terminal stays with it until Ctrl-C.
        model: Also fetch this model (a catalogue name or a source), deploy and try it.
        engine: What runs the model; by default what runs its weights.
        host: IP address to listen on; by default 127.0.0.1.
        port: TCP port to listen on; by default 8080.
        tls_certificate: PEM file of the certificate to serve TLS with.
        tls_key: PEM file of its private key.
    """

    detach: Annotated[bool, Parameter(name=["--detach", "-d"])] = False
    model: str | None = None
    engine: EngineKind | None = None
    host: str | None = None
    port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None


START = Start()


@Parameter(name="*", show=False)
@dataclass(frozen=True, kw_only=True)
class Inner:
    """How the program calls itself beside a supervisor in the foreground.

    Args:
        announcing: Be what follows the start of the supervisor with this pid.
        first: Show the key.
    """

    announcing: int | None = None
    first: bool = False


INNER = Inner()


def up(*, start: Start = START, inner: Inner = INNER, reach: Reach = HERE) -> None:
    """Start, unless it runs already; safe to repeat.

    Args:
        start: How to start.
        inner: For the program itself.
        reach: Which instance.
    """
    if reach.url is not None:
        raise InvalidInput(
            "littoral up starts an instance on this machine: leave out --url and LITTORAL_URL"
        )
    shown = screen(as_json=reach.json)
    settings = settings_of(
        reach,
        host=start.host,
        port=start.port,
        tls_certificate=absolute(start.tls_certificate),
        tls_key=absolute(start.tls_key),
    )
    if start.model is not None and is_joined(settings):
        raise InvalidInput(
            "this machine is a node of a cluster: deploy models there, with where: in a Deployment"
        )
    here = running(settings)
    if here is None and inner.announcing is None and not start.detach:
        shown.note("up.starting")
        beside(_announcer(settings, start, reach, first=_is_first(settings)))
        become(settings)
    from littoral.app.command.announce import (  # noqa: PLC0415  a client: not for a page's sake
        Plan,
        announce,
    )

    plan = partial(
        Plan,
        settings=settings,
        reach=Reach(json=reach.json, data_dir=Path(settings.data_dir)),
        detached=start.detach or inner.announcing is None,
        model=start.model,
        engine=start.engine,
    )
    if inner.announcing is not None:
        with contextlib.suppress(Ended):  # it has said why, on this terminal
            announce(shown, plan(first=inner.first, started=Started(pid=inner.announcing)))
    elif here is not None:
        shown.note("up.running", pid=here.pid)
        announce(shown, plan(first=False, started=None))
    else:
        shown.note("up.starting")
        first = _is_first(settings)
        announce(shown, plan(first=first, started=background(settings)))


def _is_first(settings: Settings) -> bool:
    return not settings.path("admin.key").exists()


def _announcer(settings: Settings, start: Start, reach: Reach, *, first: bool) -> list[str]:
    words = [sys.executable, "-m", "littoral", "up", "--announcing", str(os.getpid())]
    words += ["--data-dir", settings.data_dir]
    words += ["--engine", start.engine] if start.engine else []
    words += ["--model", start.model] if start.model else []
    if settings.tls_certificate:
        words += ["--tls-certificate", settings.tls_certificate, "--tls-key", settings.tls_key]
    words += ["--first"] if first else []
    words += ["--json"] if reach.json else []
    return words
