"""``littoral sites``: places where nodes stand together; ``littoral ca``: the roots they trust."""

from collections import Counter
from typing import cast

from littoral.app.command.confirm import confirm
from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.errors import Conflict, UnknownName
from littoral.domain.node import GONE
from littoral.domain.resource import Resource
from littoral.domain.site import SiteSpec


def list_sites(*, reach: Reach = HERE) -> None:
    """List sites, and how many nodes each has that were neither revoked nor replaced.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        sites, nodes = control.resources("Site"), control.nodes()
    standing = Counter(node.site for node in nodes if node.mark not in GONE)
    shown.json({"sites": plain(sites)})
    rows = [
        (
            site.metadata.name,
            spec.title,
            str(standing[site.metadata.name]),
            f"{spec.offline_days} d",
            f"{spec.snapshot_hours} h",
            "metered" if spec.metered else "-",
        )
        for site in sites
        if isinstance(spec := site.spec, SiteSpec)
    ]
    shown.rows(("SITE", "TITLE", "NODES", "OFFLINE", "SNAPSHOT", "LINK"), rows, right=(2, 3, 4))


def show(name: str, /, *, reach: Reach = HERE) -> None:
    """Show one site and its nodes.

    Args:
        name: Its name.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        site, nodes = control.resource("Site", name), control.nodes()
    inside = [node for node in nodes if node.site == name]
    shown.json({"site": plain(site), "nodes": plain(inside)})
    for field, value in _facts(site):
        shown.line(f"{field}: {value}")
    shown.line()
    rows = [(node.name, node.id, node.tier, node.state, moment(node.seen_us)) for node in inside]
    shown.rows(("NODE", "ID", "TIER", "STATE", "SEEN"), rows)


def _facts(site: Resource) -> list[tuple[str, object]]:
    return list(cast("dict[str, object]", plain(site.spec)).items())


def add(
    name: str,
    /,
    *,
    title: str = "",
    offline_days: int = 30,
    snapshot_hours: int = 72,
    metered: bool = False,
    reach: Reach = HERE,
) -> None:
    """Add a site; apply a file with kind: Site to agree on more.

    Args:
        name: Its name.
        title: For people.
        offline_days: How long after its certificate ended a node may still return.
        snapshot_hours: How long a node serves by what it last heard.
        metered: The link costs by volume.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    spec = SiteSpec(
        title=title, offline_days=offline_days, snapshot_hours=snapshot_hours, metered=metered
    )
    with admin(reach) as control:
        if any(site.metadata.name == name for site in control.resources("Site")):
            raise Conflict(f"there is a site {name!r} already; change it with littoral apply")
        control.apply([{"kind": "Site", "metadata": {"name": name}, "spec": plain(spec)}])
    shown.note("sites.added", name=name)
    shown.json({"added": name})


def remove(name: str, /, *, yes: bool = False, reach: Reach = HERE) -> int:
    """Remove a site that has no nodes.

    Args:
        name: Its name.
        yes: Do not ask.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        known = [site.metadata.name for site in control.resources("Site")]
        if name not in known:
            raise UnknownName(f"no site is named {name!r}; known: {', '.join(known)}")
        if not confirm(shown, shown.say("confirm.site", name=name), yes=yes):
            return 1
        control.delete("Site", name)
    shown.note("sites.removed", name=name)
    shown.json({"removed": name})
    return 0


def show_roots(*, reach: Reach = HERE) -> None:
    """Show the root certificates that nodes trust.

    Args:
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        roots = control.roots()
    shown.json({"roots": plain(roots)})
    rows = [(root.pin, root.state, moment(root.from_us), moment(root.until_us)) for root in roots]
    shown.rows(("PIN", "STATE", "SIGNS FROM", "ENDS"), rows)


def rotate(*, overlap_days: int = 30, reach: Reach = HERE) -> None:
    """Announce a new root certificate; it signs once every node has had time to learn of it.

    Args:
        overlap_days: Days until it signs; a node away for longer must join anew.
        reach: Which instance.
    """
    shown = screen(as_json=reach.json)
    with admin(reach) as control:
        roots = control.rotate(overlap_days)
    shown.note("ca.rotated", days=overlap_days)
    shown.json({"roots": plain(roots)})
