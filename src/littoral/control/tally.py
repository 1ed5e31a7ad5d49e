"""Tally: what came of predictions since control began, place by place, for whoever watches."""

from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from littoral.cost.residual import Accuracy, Pair, score
from littoral.domain.chunk import Line
from littoral.domain.decided import rejected_of, why_of
from littoral.domain.ids import NodeId
from littoral.domain.usage import CACHE, UsageRecord
from littoral.placement.account import dearest, pair_of
from littoral.placement.history import Priced

WINDOW: Final = 200
"""Outcomes of a place that are judged together."""
PLACES: Final = 2000
"""Most places that are told apart; the one that was quiet longest is forgotten."""
LATEST: Final = 500
"""Records kept to look back at what else might have been chosen."""


class Place(NamedTuple):
    """Who sent the record, and where the request ran."""

    node: NodeId
    endpoint: str
    deployment: str
    model: str


@dataclass(slots=True)
class Tallied:
    """Sums of one place, and the pairs of its last outcomes.

    ``dearest`` is what its requests would have cost at the dearest deployment of their model.
    """

    statuses: Counter[str] = field(default_factory=Counter[str])
    whys: Counter[str] = field(default_factory=Counter[str])
    rejected: Counter[str] = field(default_factory=Counter[str])
    scored: int = 0
    held: int = 0
    spent: float = 0.0
    dearest: float = 0.0
    pairs: deque[Pair] = field(default_factory=lambda: deque(maxlen=WINDOW))

    @property
    def accuracy(self) -> Accuracy:
        """How right the last predictions were."""
        return score(tuple(self.pairs))


class Tally:
    """Counts lines as they come."""

    def __init__(self) -> None:
        self._places: OrderedDict[Place, Tallied] = OrderedDict()
        self.latest: deque[UsageRecord] = deque(maxlen=LATEST)

    def take(self, lines: Sequence[Line], prices: Mapping[str, Priced]) -> None:
        """Count what the ledger took, where deployments take these prices."""
        serving: dict[str, list[str]] = {}
        for name, each in prices.items():
            serving.setdefault(each.serves, []).append(name)
        for line in lines:
            record = line.usage
            others = serving.get(record.model, ())
            self._count(line, dearest(record, others, prices))

    def places(self) -> Mapping[Place, Tallied]:
        """What was counted, by place."""
        return dict(self._places)

    def _count(self, line: Line, most: float) -> None:
        record = line.usage
        place = Place(line.node, record.endpoint, record.deployment, record.model)
        found = self._places.pop(place, None) or Tallied()
        self._places[place] = found
        if len(self._places) > PLACES:
            self._places.popitem(last=False)
        found.statuses[record.status] += 1
        found.whys[why_of(record.decided) or "unknown"] += 1
        found.rejected.update(rejected_of(record.decided))
        found.spent += record.cost
        found.dearest += 0.0 if record.endpoint == CACHE else most
        self.latest.append(record)
        pair = pair_of(record)
        if pair is not None:
            found.pairs.append(pair)
            found.scored += 1
            found.held += pair.actual <= pair.p90
