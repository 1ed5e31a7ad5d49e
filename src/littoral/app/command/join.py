"""``littoral node``: make this machine a node of a cluster elsewhere, and what it is then."""

import os
import platform
import pwd
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, cast

import anyio
from cyclopts import Parameter

from littoral.app import versions
from littoral.app.command.confirm import confirm
from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.launch import background, become
from littoral.app.command.local import running
from littoral.app.command.reach import HERE, Reach, absolute, settings_of
from littoral.app.command.screen import Screen, screen
from littoral.app.command.standing import standing
from littoral.app.registry import installed
from littoral.app.settings import FIELDS, Settings
from littoral.app.supervisor import make_folder
from littoral.app.system import SystemClock, SystemEntropy, SystemFailpoints
from littoral.app.unit import install, unit
from littoral.app.version import VERSION
from littoral.client.registrar import HttpRegistrar
from littoral.domain.enrolment import PENDING, REVOKED, Inventory
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
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
        install: Write a systemd unit, enable and start it; needs root.
        print_unit: Print that unit, and do nothing else.
        host: IP address to serve clients on; by default 127.0.0.1.
        port: TCP port to serve clients on; by default 8080.
        tls_certificate: PEM file of the certificate to serve TLS with.
        tls_key: PEM file of its private key.
    """

    detach: Annotated[bool, Parameter(name=["--detach", "-d"])] = False
    no_start: bool = False
    install: bool = False
    print_unit: bool = False
    host: str | None = None
    port: int | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None


START = Start()


def join(
    url: str = "",
    /,
    *,
    token: str = "",
    name: str | None = None,
    rejoin: bool = False,
    start: Start = START,
    reach: Reach = HERE,
) -> None:
    """Join a cluster with a token, and serve as one of its nodes. Safe to repeat.

    Args:
        url: Address that littoral nodes invite showed, such as https://cloud.example:8444.
        token: Join token.
        name: Name of this node, as people will see it; by default that of the settings, else the
            host's.
        rejoin: Become a new node though this machine is one already; the old one is replaced.
        start: How it serves after it joined.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = settings_of(
        reach,
        host=start.host,
        port=start.port,
        tls_certificate=absolute(start.tls_certificate),
        tls_key=absolute(start.tls_key),
    )
    if start.print_unit:
        shown.raw(_unit(settings, start))
        return
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
        _check_wish(url, token)
        wish = Wish(
            url=url.rstrip("/"), token=token, name=name or _name(settings), facts=_facts(settings)
        )
        LocalDisk(settings.data_dir).remove(REVOKED)
        found = anyio.run(partial(_joining(settings, store).join, wish, former=kept))
        shown.note("join.joined", name=found.identity.name, node=found.identity.node, url=url)
    _go_on(shown, settings, start=start, found=found)


def _go_on(shown: Screen, settings: Settings, *, start: Start, found: Credentials) -> None:
    shown.json(plain(found.identity))
    if start.install:
        if versions.is_kept():
            versions.prepare(settings.data_dir)
        for did in install(_unit(settings, start)):
            shown.note("join.did", what=did)
        return
    if start.no_start or running(settings) is not None:
        return
    if start.detach:
        started = background(settings)
        shown.note("join.started", pid=started.pid, log=str(started.log))
        return
    become(settings)


def _unit(settings: Settings, start: Start) -> str:
    words = ["--data-dir", settings.data_dir]
    words += ["--host", start.host] if start.host else []
    words += ["--port", str(start.port)] if start.port is not None else []
    if settings.tls_certificate:
        words += ["--tls-certificate", settings.tls_certificate, "--tls-key", settings.tls_key]
    return unit(settings, words, user=pwd.getpwuid(os.geteuid()).pw_name)


def _check_wish(url: str, token: str) -> None:
    if not _URL.fullmatch(url):
        raise InvalidInput(f"the address {url!r} must look like https://cloud.example:8444")
    if not token:
        raise InvalidInput("--token is needed: littoral nodes invite makes one on the cloud side")


def _joining(settings: Settings, store: IdentityStore) -> Joining:
    return Joining(
        store,
        disk=LocalDisk(settings.data_dir),
        registrar=HttpRegistrar(proxy=settings.proxy),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )


def _facts(settings: Settings) -> Inventory:
    return Surveyor(settings.data_dir, build=VERSION, engines=installed).read()


def _name(settings: Settings) -> str:
    """What the settings name this node; where they do not, the host's name."""
    if settings.name != FIELDS["name"].default:
        return settings.name
    kept = re.sub(r"[^a-z0-9.-]+", "-", platform.node().lower()).strip("-.")
    return kept[:63].strip("-.") or "node"


def leave(*, yes: bool = False, reach: Reach = HERE) -> int:
    """Be a node no longer: forget the identity, keep usage that control has not stored.

    Args:
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = settings_of(reach)
    if running(settings) is not None:
        raise Conflict("Littoral runs in this data folder: stop it first with littoral down")
    disk = LocalDisk(settings.data_dir)
    store = IdentityStore(disk, SystemFailpoints(settings.failpoints))
    held = store.read()
    if held is None:
        shown.note("leave.none", path=settings.data_dir)
        shown.json({"left": None})
        return 0
    node = held.identity.node
    if not confirm(shown, shown.say("confirm.leave", node=node), yes=yes):
        return 1
    store.forget()
    for name in (PENDING, REVOKED):
        disk.remove(name)
    shown.note("leave.done", node=node)
    shown.json({"left": node})
    return 0


def status(*, reach: Reach = HERE) -> int:
    """Show who this node is, until when its certificate counts, and what is wrong if anything is.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    settings = settings_of(reach)
    disk = LocalDisk(settings.data_dir)
    held = IdentityStore(disk, SystemFailpoints(settings.failpoints)).read()
    if held is None:
        raise UnknownName(
            f"{settings.data_dir} is not that of a node that joined; see: littoral node join --help"
        )
    stand = standing(settings) if running(settings) is not None else None
    revoked = disk.read(REVOKED)
    trouble: list[str] = [] if stand is None else list(stand.trouble)
    trouble += [revoked.decode("utf-8", "replace")] if revoked is not None else []
    connected = stand is not None and stand.connected
    shown.json(
        {
            **cast("dict[str, object]", plain(held.identity)),
            "running": stand is not None,
            "connected": connected,
            "certificate_until_us": held.life.end_us,
            "trouble": trouble,
        }
    )
    identity = held.identity
    word = shown.say(
        "node.connected" if connected else "node.alone" if stand is not None else "node.stopped"
    )
    shown.line(f"{identity.name} ({identity.node})  {identity.site}  {identity.cluster}  {word}")
    shown.line(shown.say("node.until", when=moment(held.life.end_us)))
    for sentence in trouble:
        shown.line(f"! {sentence}")
    return 0 if connected and not trouble else 1
