"""Scene: where a played gateway runs and for whom, and what stands there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from littoral.domain.ids import KeyId
from littoral.domain.ports import Chance, Clock
from littoral.domain.reach import Spot
from littoral.domain.units import Seconds
from littoral.lab.box import Box
from littoral.lab.hop import Hops
from littoral.lab.life import Life
from littoral.lab.promise import Promises, Waiting
from littoral.lab.purse import Purse
from littoral.lab.trace import Trace
from littoral.lab.witness import Witness

MODELS: Final = ("chat", "code", "draw")
"""What clients ask for; operators deploy all of them, sooner or later."""
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What clients of one edge do: ``every_s`` apart on average, with these keys."""

    every_s: Seconds
    keys: Sequence[KeyId]
    flows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a gateway and its clients need; ``waiting`` are clients of this edge who can wait."""

    node: str
    box: Box
    life: Life
    clock: Clock
    chance: Chance
    trace: Trace
    witness: Witness
    purse: Purse
    promises: Promises
    hops: Hops
    spot: Spot
    waiting: dict[str, Waiting]
    traffic: Traffic
    served: list[tuple[int, int]]
    numbers: list[int]
    pace: float

    def next_request(self) -> str:
        """A request id that no other edge, and no other life of this one, gives."""
        self.numbers[0] += 1
        return f"{self.node}.{self.numbers[0]}"

    def pick(self, things: Sequence[T]) -> T | None:
        """Any one of some things."""
        return things[int(self.chance.random() * len(things))] if things else None
