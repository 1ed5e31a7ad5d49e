"""Wave: which nodes shall run which release now, and whether more of them may follow. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from littoral.domain.ids import NodeId
from littoral.domain.node import GONE, Node
from littoral.domain.release import ENDED, FAILED, Update, UpdatePhase, UpdateReport
from littoral.domain.units import Micros
from littoral.placement.canary import is_chosen

AT_ONCE: Final = 0.25
"""The share of a site's nodes that may be under way at a time, but always one."""
SWITCHING: Final[frozenset[UpdatePhase]] = frozenset({"switching", "trial"})
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleeted:
    """What a wave is decided by: the nodes, those that are connected, and what each reported."""

    nodes: Sequence[Node]
    connected: frozenset[NodeId]
    reports: Mapping[NodeId, UpdateReport]


def members(update: Update, nodes: Sequence[Node]) -> Sequence[Node]:
    """The nodes that an update concerns: those that joined, of its sites, by id."""
    found = (
        node
        for node in nodes
        if node.enrolled is not None
        and node.mark not in GONE
        and (not update.sites or node.site in update.sites)
    )
    return sorted(found, key=lambda node: node.id)


def first(update: Update, nodes: Sequence[Node]) -> frozenset[NodeId]:
    """The nodes that try an update before the others: a share of them, at least one."""
    ids = [node.id for node in members(update, nodes)]
    chosen = {each for each in ids if is_chosen(f"{update.version} {each}", update.canary)}
    return frozenset(chosen or ids[:1])


def report_of(update: Update, node: NodeId, fleet: Fleeted) -> UpdateReport | None:
    """What a node said of the order of now; None where it said nothing of it yet."""
    report = fleet.reports.get(node)
    return report if report is not None and report.number == update.number else None


def advanced(update: Update, fleet: Fleeted, *, now_us: Micros) -> Update:
    """The update a moment later: more nodes ordered, everyone, paused at failures, or done."""
    if update.state != "running":
        return update
    concerned = members(update, fleet.nodes)
    failed = [node for node in concerned if _has(update, node.id, fleet, phases=FAILED)]
    if failed:
        report = report_of(update, failed[0].id, fleet)
        why = report.why if report else ""
        names = ", ".join(node.name for node in failed)
        return replace(update, state="paused", why=f"failed on {names}: {why}", since_us=now_us)
    canaries = first(update, fleet.nodes)
    healthy = {node.id for node in concerned if _is_healthy(update, node.id, fleet)}
    if len(healthy) == len(concerned) and concerned:
        why = f"{len(healthy)} nodes run {update.version}"
        return replace(update, state="done", everyone=True, since_us=now_us, why=why)
    if not update.everyone:
        waiting = (canaries & fleet.connected) - healthy
        if waiting or not canaries & healthy:
            text = f"{len(canaries & healthy)} of the first {len(canaries)} nodes are healthy"
            update = replace(update, since_us=now_us, why=text)
        elif now_us - update.since_us >= update.minutes * MINUTE_US:
            update = replace(update, everyone=True, since_us=now_us, why="the first are healthy")
    else:
        update = replace(update, why=f"{len(healthy)} of {len(concerned)} nodes are healthy")
    return _ordered(update, concerned, fleet, canaries=canaries)


def _ordered(
    update: Update, concerned: Sequence[Node], fleet: Fleeted, *, canaries: frozenset[NodeId]
) -> Update:
    """Order more nodes, so many that enough of each site serve on."""
    before = dict(update.before)
    there = Counter(each.site for each in concerned)
    under_way = Counter(
        each.site for each in concerned if each.id in before and _holds(update, each, fleet)
    )
    for node in concerned:
        if node.id in before or not (update.everyone or node.id in canaries):
            continue
        if node.id not in fleet.connected:
            continue
        if under_way[node.site] < max(1, int(AT_ONCE * there[node.site])):
            before[node.id] = node.build
            under_way[node.site] += 1
    return replace(update, before=before) if len(before) > len(update.before) else update


def not_failed(update: Update, reports: Mapping[NodeId, UpdateReport]) -> Mapping[NodeId, str]:
    """What each ordered node ran before, without those that failed: they are ordered anew.

    Who is under way stays: it may run the new version already, and must still know the old one.
    """
    return {
        node: build
        for node, build in update.before.items()
        if (report := reports.get(node)) is None
        or report.number != update.number
        or report.phase not in FAILED
    }


def _has(update: Update, node: NodeId, fleet: Fleeted, *, phases: frozenset[str]) -> bool:
    report = report_of(update, node, fleet)
    return report is not None and report.phase in phases


def _holds(update: Update, node: Node, fleet: Fleeted) -> bool:
    """Whether an ordered node keeps others of its site waiting.

    One that is away and had not begun to switch does not: it may be away for ever. One that went
    away while it switched does, for it may be the new version that keeps it away.
    """
    if _has(update, node.id, fleet, phases=ENDED):
        return False
    return node.id in fleet.connected or _has(update, node.id, fleet, phases=SWITCHING)


def _is_healthy(update: Update, node: NodeId, fleet: Fleeted) -> bool:
    return _has(update, node, fleet, phases=frozenset({"healthy"}))


def version_for(update: Update, node: NodeId) -> str | None:
    """The version that a node shall run by this update; None where it has no order."""
    before = update.before.get(node)
    return before if before is None or update.state == "undone" else update.version
