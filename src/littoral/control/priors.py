"""Priors: what nodes learned of engines, and its medians for nodes that have not learned yet."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from littoral.control.worker import Bell, Workers
from littoral.cost.inherit import doubt, is_news, is_shared, pooled
from littoral.domain.ids import EndpointId, NodeId
from littoral.domain.node import Event
from littoral.domain.ports import Clock, Sink, State
from littoral.domain.prior import PRIORS, Coefficients, FleetPrior, Learned, PredictorView
from littoral.domain.units import Seconds

KEPT: Final = "priors"
EVERY_S: Final = Seconds(60.0)
"""How often priors are made anew, at most."""
MOST: Final = 512
"""Most predictors of one node."""


def kept_priors(state: State) -> Mapping[str, FleetPrior]:
    """The priors that are published."""
    kept = state.value(KEPT)
    return msgspec.json.decode(kept, type=dict[str, FleetPrior]) if kept else {}


class Priors:
    """Hears what nodes learned, and publishes medians that have moved.

    Args:
        state: Where published priors are kept.
        clock: Says when it is time again.
        sink: Is told of what is not believed.
        workers: Where the state is touched.
        bell: Rings when there are new priors, for snapshots.
    """

    def __init__(
        self, state: State, clock: Clock, *, sink: Sink, workers: Workers, bell: Bell
    ) -> None:
        self._state = state
        self._clock = clock
        self._sink = sink
        self._workers = workers
        self._bell = bell
        self._learned: dict[NodeId, Mapping[EndpointId, Learned]] = {}
        self._refused: dict[NodeId, Mapping[EndpointId, str]] = {}
        self._next = clock.now()

    async def heard(self, node: NodeId, frame: Coefficients) -> None:
        """Take what a node says; it replaces what it said before."""
        found = {each.endpoint: each for each in frame.learned[:MOST]}
        self._learned[node] = found
        self._judge(node, found)
        if self._clock.now() >= self._next:
            self._next = Seconds(self._clock.now() + EVERY_S)
            await self._workers.state(partial(self._publish, self._pooled()))

    def predictors(self) -> Sequence[PredictorView]:
        """Every predictor that was told of, by node and endpoint."""
        return [
            PredictorView(node=node, learned=found[name])
            for node, found in sorted(self._learned.items(), key=lambda each: each[0])
            for name in sorted(found)
        ]

    def forget(self, node: NodeId) -> None:
        """A node is none any more: what it said counts for nobody."""
        self._learned.pop(node, None)
        self._refused.pop(node, None)

    def _judge(self, node: NodeId, found: Mapping[EndpointId, Learned]) -> None:
        """Say once what is wrong with coefficients that others would begin with."""
        before = self._refused.get(node, {})
        self._refused[node] = now = {
            name: why for name, each in found.items() if each.kind and (why := doubt(each))
        }
        for name, why in now.items():
            if before.get(name) != why:
                self._sink.emit(
                    Event(
                        at_us=self._clock.wall(),
                        level="warning",
                        subject=f"node/{node}",
                        code="node.coefficients_refused",
                        message=f"{node} learned of {name} what cannot be: {why}",
                    )
                )

    def _pooled(self) -> Mapping[str, Sequence[Learned]]:
        """What may be shared, by kind; of one node the best known counts."""
        kinds: dict[str, dict[NodeId, Learned]] = {}
        for node, found in self._learned.items():
            for each in found.values():
                if is_shared(each):
                    nodes = kinds.setdefault(each.kind, {})
                    known = nodes.get(node)
                    if known is None or known.outcomes < each.outcomes:
                        nodes[node] = each
        return {kind: list(nodes.values()) for kind, nodes in kinds.items()}

    def _publish(self, kinds: Mapping[str, Sequence[Learned]]) -> None:
        """Keep priors that are new or have moved; of too many, those published longest ago go."""
        old = dict(kept_priors(self._state))
        version = max((each.version for each in old.values()), default=0) + 1
        news = {
            kind: made
            for kind, every in kinds.items()
            if is_news(old.get(kind), made := pooled(every, version=version))
        }
        if not news:
            return
        kept = {**{kind: each for kind, each in old.items() if kind not in news}, **news}
        latest = sorted(kept, key=lambda kind: (-kept[kind].version, kind))[:PRIORS]
        body = {kind: kept[kind] for kind in sorted(latest)}
        self._state.put_value(KEPT, msgspec.json.encode(body))
        self._bell.ring()
