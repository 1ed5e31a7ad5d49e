"""``littoral nodes``: the machines that serve."""

from collections.abc import Sequence
from typing import cast

from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment, size, span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.app.command.shares import table
from littoral.app.command.site import admin
from littoral.domain.enrolment import SITE, Inventory, Invitation, Tier
from littoral.domain.errors import InvalidInput, UnknownName
from littoral.domain.node import GONE, Link, Node, Speed, Store
from littoral.domain.units import Bytes


def list_nodes(*, reach: Reach = HERE) -> None:
    """List nodes.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        nodes = control.nodes()
    shown.json({"nodes": plain(nodes)})
    if not nodes:
        shown.note("nodes.none")
        return
    rows = [
        (
            node.name,
            node.id,
            node.site,
            node.tier,
            node.state,
            moment(node.seen_us) if node.seen_us else "-",
            *_figures(node),
            node.build,
        )
        for node in nodes
    ]
    head = ("NODE", "ID", "SITE", "TIER", "STATE", "SEEN")
    head += ("CORES", "FREE", "ENDPOINTS", "OUTBOX", "BUILD")
    shown.rows(head, rows, right=(6, 7, 8, 9))


def invite(
    *,
    site: str = SITE,
    label: tuple[str, ...] = (),
    tier: Tier = "edge",
    minutes: int = 15,
    reach: Reach = HERE,
) -> None:
    """Make a join token, and show the one command that uses it. It is good once.

    Args:
        site: Where the machine stands; see littoral sites list.
        label: A label of it, such as class=small; may be given more than once.
        tier: edge or cloud.
        minutes: How long the token is good.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    wanted = Invitation(site=site, labels=labels_of(label), tier=tier, minutes=minutes)
    with admin(reach) as control:
        made = control.invite(wanted)
    shown.note("nodes.invited", site=site, minutes=minutes)
    shown.line(f"littoral node join {made.url} --token {made.token}")
    shown.json(plain(made))


def labels_of(words: tuple[str, ...]) -> dict[str, str]:
    """Labels, or arguments, given as ``name=value`` words.

    Raises:
        InvalidInput: A word is not like that.
    """
    found: dict[str, str] = {}
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or not name:
            raise InvalidInput(f"{word!r} must look like name=value, such as class=small")
        found[name] = value
    return found


def _figures(node: Node) -> tuple[str, ...]:
    status = node.status
    if status is None:
        return ("-", "-", "-", "-")
    ready = sum(endpoint.state == "ready" for endpoint in status.endpoints)
    return (
        str(status.machine.cores),
        size(status.machine.memory_free),
        f"{ready}/{len(status.endpoints)}",
        str(status.outbox_depth),
    )


def show(name: str, /, *, reach: Reach = HERE) -> None:
    """Show one node.

    Args:
        name: Its name or id.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        nodes = control.nodes()
        found = [node for node in nodes if name in {node.name, node.id}]
        found.sort(key=lambda each: (each.id != name, each.mark in GONE))
        shares = control.shares(node=found[0].id) if found else []
    if found:
        shown.json(cast("dict[str, object]", plain(found[0])) | {"shares": plain(shares)})
        _show(shown, found[0])
        if shares and len(nodes) > 1:
            shown.line()
            table(shown, shares)
        return
    known = ", ".join(node.name for node in nodes) or "none"
    raise UnknownName(f"no node {name!r}; known: {known}")


def _show(shown: Screen, node: Node) -> None:
    shown.line(f"{node.name} ({node.id})  {node.state}  seen {moment(node.seen_us)}  {node.build}")
    labels = " ".join(f"{name}={value}" for name, value in node.labels.items()) or "-"
    shown.line(f"site {node.site}, {node.tier}, labels: {labels}")
    if node.enrolled is not None:
        shown.line(f"certificate until {moment(node.enrolled.until_us)}")
    status = node.status
    inventory = node.inventory if status is None else status.inventory or node.inventory
    if inventory is not None:
        _show_inventory(shown, inventory)
    if status is None:
        return
    for sentence in status.trouble:
        shown.line(f"! {sentence}")
    for side, link in (("link", status.link), ("seen by control", node.heard)):
        if link is not None:
            shown.line(f"{side}: {_link(link)}")
    machine = status.machine
    told = f"{size(machine.memory_free)} free of {size(machine.memory)}"
    shown.line(f"{machine.cores} cores, {told}{', contended' if machine.contended else ''}")
    if (store := status.store) is not None:
        shown.line(shown.say("nodes.store", count=store.blobs, **_bytes(store)))
    epoch, version = status.snapshot
    shown.line(f"snapshot {epoch}.{version}, {status.outbox_depth} usage records on their way")
    shown.line()
    rows = [
        (each.id, each.deployment, each.engine, each.state, str(each.slots), each.reason)
        for each in status.endpoints
    ]
    shown.rows(("ENDPOINT", "DEPLOYMENT", "ENGINE", "STATE", "SLOTS", "WHY"), rows, right=(4,))
    if status.speeds:
        shown.line()
        _show_speeds(shown, status.speeds)


def _bytes(store: Store) -> dict[str, str]:
    """The bytes of a node's blobs, for people."""
    return {"size": size(store.size), "unused": size(store.unused)}


def _link(link: Link) -> str:
    """How good a link is; what was not measured is left out."""
    figures = [f"{span(link.rtt_s)} round trip"] if link.rtt_s else []
    figures += [f"{size(Bytes(int(link.goodput)))}/s"] if link.goodput else []
    return ", ".join([*figures, f"up {link.availability:.0%} of the time"])


def _show_inventory(shown: Screen, found: Inventory) -> None:
    shown.line(
        f"{found.cpu or found.arch}, {found.cores} cores, {size(found.memory)}, {found.arch}"
    )
    shown.line(f"{found.system}, disk {size(found.disk)}")
    for each in found.accelerators:
        memory = f", {size(each.memory)}" if each.memory else ""
        shown.line(f"{each.kind} {each.name}{memory}")
    shown.line(f"engines: {', '.join(found.engines)}")


def _show_speeds(shown: Screen, speeds: Sequence[Speed]) -> None:
    rows = [
        (
            each.endpoint,
            f"{each.tokens_in}/{each.tokens_out}",
            span(each.first_s),
            span(each.total_s),
        )
        for each in speeds
    ]
    shown.rows(("PROBED", "TOKENS", "FIRST", "TOTAL"), rows, right=(1, 2, 3))
