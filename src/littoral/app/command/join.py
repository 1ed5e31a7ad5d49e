"""``littoral node``: make this machine a node of a cluster elsewhere, and what it is then."""

import platform
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from littoral.app.command.encoding import plain
from littoral.app.command.launch import background, become
from littoral.app.command.local import running
from littoral.app.command.reach import HERE, Reach, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.registry import installed
from littoral.app.settings import Settings
from littoral.app.supervisor import make_folder
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.app.version import VERSION
from littoral.client.registrar import HttpRegistrar
from littoral.domain.enrolment import Inventory
from littoral.domain.errors import Conflict, InvalidInput
from littoral.node.enrolment import Joining, Wish
from littoral.node.identity import Credentials, IdentityStore
from littoral.node.inventory import Surveyor
from littoral.stores.disk import LocalDisk

_URL = re.compile(r"https://[^\s/@]+/?")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Start:
    """How it serves after it joined.

    Args:
        detach: Run in the background; else this terminal stays with it until Ctrl-C.
        no_start: Only join; start later with littoral up.
        host: IP address to serve clients on; by default 127.0.0.1.
        port: TCP port to serve clients on; by default 8080.
        tls_certificate: PEM file of the certificate to serve TLS with.
        tls_key: PEM file of its private key.
    """

    detach: Annotated[bool, Parameter(name=["--detach", "-d"])] = False
    no_start: bool = False
    host: str | None = None
    port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None


START = Start()


def join(
    url: str,
    /,
    *,
    token: Annotated[str, Parameter(env_var="LITTORAL_TOKEN")],
    name: str | None = None,
    rejoin: bool = False,
    start: Start = START,
    reach: Reach = HERE,
) -> None:
    """Join a cluster with a token, and serve as one of its nodes. Safe to repeat.

    Args:
        url: Address that littoral nodes invite showed, such as https://cloud.example:8444.
        token: Join token.
        name: Name of this node, as people will see it; by default the host's.
        rejoin: Become a new node though this machine is one already; the old one is replaced.
        start: How it serves after it joined.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    if not _URL.fullmatch(url):
        raise InvalidInput(f"{url!r} must look like https://cloud.example:8444")
    settings = settings_of(
        reach,
        host=start.host,
        port=start.port,
        tls_certificate=_absolute(start.tls_certificate),
        tls_key=_absolute(start.tls_key),
    )
    folder = make_folder(settings)
    if (folder / "control.db").exists():
        raise Conflict(
            f"{folder} is the data folder of a control plane: it cannot be a node of another one; "
            "choose another --data-dir"
        )
    store = IdentityStore(LocalDisk(settings.data_dir), SystemFailpoints(settings.failpoints))
    kept = store.read()
    if kept is not None and not rejoin:
        shown.note("join.already", node=kept.identity.node, cluster=kept.identity.cluster)
        found = kept
    else:
        if running(settings) is not None:
            raise Conflict("Littoral runs in this data folder: stop it first with littoral down")
        wish = Wish(url=url.rstrip("/"), token=token, name=name or _host(), facts=_facts(settings))
        found = anyio.run(partial(_joining(settings, store).join, wish, former=kept))
        shown.note("join.joined", name=found.identity.name, node=found.identity.node, url=url)
    _go_on(shown, settings, start=start, found=found)


def _go_on(shown: Screen, settings: Settings, *, start: Start, found: Credentials) -> None:
    shown.json(plain(found.identity))
    if start.no_start or running(settings) is not None:
        return
    if start.detach:
        started = background(settings)
        shown.note("join.started", pid=started.pid, log=str(started.log))
        return
    become(settings)


def _joining(settings: Settings, store: IdentityStore) -> Joining:
    return Joining(
        store,
        disk=LocalDisk(settings.data_dir),
        registrar=HttpRegistrar(),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )


def _facts(settings: Settings) -> Inventory:
    return Surveyor(settings.data_dir, build=VERSION, engines=installed).read()


def _host() -> str:
    """The host's name as a node's name."""
    kept = re.sub(r"[^a-z0-9.-]+", "-", platform.node().lower()).strip("-.")
    return kept[:63].strip("-.") or "node"


def _absolute(file: Path | None) -> str | None:
    return None if file is None else str(file.expanduser().absolute())
