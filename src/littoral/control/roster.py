"""Roster: what operators decide of nodes. Its calls touch the state: one at a time, in a worker."""

from collections.abc import Mapping
from dataclasses import replace

from littoral.control.bounds import refuse, within
from littoral.control.fleet import Fleet, no_row, row_of
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import NAME, NodeId
from littoral.domain.node import GONE, Event, Level, Mark, Node
from littoral.domain.ports import Clock, Sink, State

MOST_LABELS = 32
MOST_VALUE = 63


class Roster:
    """Changes the rows of nodes, and tells of each change.

    Args:
        state: Where rows are kept.
        fleet: Knows the nodes; learns what was written when the caller says so.
        clock: Dates events.
        sink: Takes events.
    """

    def __init__(self, state: State, fleet: Fleet, *, clock: Clock, sink: Sink) -> None:
        self._state = state
        self._fleet = fleet
        self._clock = clock
        self._sink = sink

    def find(self, name: str) -> Node:
        """A node by its id, or by its name where only one that is not gone has it.

        Raises:
            UnknownName: There is none; the message lists the known ones.
            InvalidInput: Several have the name; the message lists their ids.
        """
        nodes = self._fleet.nodes()
        found = [node for node in nodes if node.id == name] or [
            node for node in nodes if node.name == name and node.mark not in GONE
        ]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(node.id for node in found)
            raise InvalidInput(f"{len(found)} nodes are named {name!r}; name one by its id: {ids}")
        known = ", ".join(node.name for node in nodes if node.mark not in GONE) or "none"
        raise UnknownName(f"no node is named {name!r}; known: {known}")

    def mark(self, name: str, mark: Mark) -> Node:
        """Cordon or drain a node, or (empty) neither.

        Raises:
            UnknownName: There is no such node.
            Conflict: It was revoked or replaced.
        """
        node = self._standing(name)
        if node.mark == mark:
            return node
        word = mark or "uncordoned"
        self._event(node.id, f"node.{word}", f"{node.name} is {word} now")
        return self._written(replace(node, mark=mark))

    def label(self, name: str, labels: Mapping[str, str]) -> Node:
        """Give a node labels; an empty value takes one away.

        Raises:
            UnknownName: There is no such node.
            InvalidInput: A label is too long, or there are too many.
        """
        node = self._standing(name)
        for label, value in labels.items():
            if NAME.fullmatch(label) is None or len(value) > MOST_VALUE:
                raise refuse(
                    f"labels.{label}", "allowed are names of a-z 0-9 . _ - and values of at most 63"
                )
        merged = {**node.labels, **labels}
        kept = {label: value for label, value in sorted(merged.items()) if value}
        within("labels", len(kept), (0, MOST_LABELS))
        if kept == dict(node.labels):
            return node
        told = " ".join(f"{label}={value}" for label, value in kept.items()) or "none"
        self._event(node.id, "node.labelled", f"labels of {node.name}: {told}")
        return self._written(replace(node, labels=kept))

    def revoke(self, name: str) -> Node:
        """Let a node speak to control never again; a second time changes nothing.

        Raises:
            UnknownName: There is no such node.
            Conflict: It is the node beside control.
        """
        node = self.find(name)
        if node.enrolled is None:
            raise Conflict(f"{node.name} runs beside control and has no certificate to revoke")
        if node.mark in GONE:
            return node
        self._event(node.id, "node.revoked", f"{node.name} was revoked", level="warning")
        return self._written(replace(node, mark="revoked"))

    def remove(self, name: str) -> Node:
        """Forget a node: its certificate is refused from now on.

        Raises:
            UnknownName: There is no such node.
            Conflict: It is connected, or is the node beside control.
        """
        node = self.find(name)
        if node.enrolled is None:
            raise Conflict(f"{node.name} runs beside control: it cannot be removed")
        if self._fleet.hears(node.id):
            raise Conflict(
                f"{node.name} is connected: drain it and stop it, or revoke it, and then remove it"
            )
        self._state.put_values(no_row(node.id))
        self._event(node.id, "node.removed", f"{node.name} was removed")
        return node

    def _standing(self, name: str) -> Node:
        node = self.find(name)
        if node.mark in GONE:
            raise Conflict(f"{node.name} was {node.mark}: nothing of it can be changed")
        return node

    def _written(self, node: Node) -> Node:
        self._state.put_values(row_of(node))
        return node

    def _event(self, node: NodeId, code: str, message: str, *, level: Level = "info") -> None:
        self._sink.emit(
            Event(at_us=self._clock.wall(), level=level, subject=node, code=code, message=message)
        )
