"""Recollection: what this node learned of engines outlives it, and what others learned helps it.

Predictors are on disk by the kind of their engine, so they go on after a restart, and after a new
revision of the same weights. Where there is none, the snapshot's priors are next; then, of either,
what is known of the same weights under another build, and of other weights of the same shape, as
another version of a model has.
"""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

import anyio
import msgspec

from littoral.cost.inherit import doubt, inherited, is_shared, learned_of, pooled, resumed
from littoral.cost.predictor import Predictor
from littoral.domain.deployment import Option
from littoral.domain.endpoint import Endpoint
from littoral.domain.enrolment import Inventory
from littoral.domain.errors import StorageFull
from littoral.domain.ids import EndpointId
from littoral.domain.model import Artefact
from littoral.domain.ports import ChannelClosed, Disk
from littoral.domain.prior import Coefficients, EngineKind, FleetPrior, Learned
from littoral.domain.session import Endpoints, Frame
from littoral.domain.units import Seconds
from littoral.node.board import Board

KEPT: Final = "learned.json"
MOST: Final = 128
"""Kinds of engines that are remembered; those used longest ago go."""
TELL: Final = Seconds(60.0)
WRITE_EVERY: Final = 5
"""So many tellings go by between two writes of the file."""
AGAIN: Final = 10
"""So many tellings go by before the same is told again: control may have forgotten it."""


class Recollection:
    """Remembers predictors, on disk and at control.

    Args:
        board: Knows engines, the machine and the snapshot.
        disk: Where they are kept.
        post: Sends control a frame; raises ``ChannelClosed`` where it is not there.
        pace: By how much longer a minute is.
    """

    def __init__(
        self,
        board: Board,
        disk: Disk,
        *,
        post: Callable[[Frame], Awaitable[None]],
        pace: float = 1.0,
    ) -> None:
        self._board = board
        self._disk = disk
        self._post = post
        self._pace = pace
        self._kept: dict[str, Predictor] = {}
        self._present: dict[EndpointId, Predictor] = {}
        self._dirty = False
        with suppress(msgspec.MsgspecError):
            kept = disk.read(KEPT) or b"{}"
            self._kept = msgspec.json.decode(kept, type=dict[str, Predictor])

    def begun(self, endpoint: EndpointId) -> Predictor | None:
        """What a predictor of an engine begins with; None where nothing is known of its like."""
        kind = self._kind(endpoint)
        own = self._kept.get(_name(endpoint, kind))
        if own is not None and (found := resumed(endpoint, own)) is not None:
            return found
        for prefix in () if kind is None else kind.prefixes:
            prior = self._own(prefix) or self._others(prefix)
            if prior is not None:
                return inherited(endpoint, prior)
        return None

    def note(self, predictors: Iterable[Predictor]) -> None:
        """Take what predictors know now."""
        for each in predictors:
            self._present[each.endpoint] = each
            self._dirty = True

    async def run(self) -> None:
        """Tell control and write down, until cancelled."""
        told: Frame | None = None
        for number in range(1, 1 << 62):
            await anyio.sleep(TELL * self._pace)
            frame = self.frame()
            if frame.learned and (frame != told or number % AGAIN == 0):
                told = frame if await self._told(frame) else None
            if number % WRITE_EVERY == 0:
                self.save()

    async def _told(self, frame: Frame) -> bool:
        try:
            await self._post(frame)
        except ChannelClosed:
            return False
        return True

    def frame(self) -> Coefficients:
        """What control is told."""
        frames = self._board.frames()
        known = {e.id for each in frames if isinstance(each, Endpoints) for e in each.endpoints}
        self._present = {name: each for name, each in self._present.items() if name in known}
        return Coefficients(learned=tuple(map(self._learned, self._present.values())))

    def save(self) -> None:
        """Write down what changed; a full disk leaves what was there."""
        if not self._dirty:
            return
        for each in self._present.values():
            name = _name(each.endpoint, self._kind(each.endpoint))
            self._kept.pop(name, None)
            self._kept[name] = each
        self._kept = dict(list(self._kept.items())[-MOST:])
        with suppress(StorageFull):
            self._disk.write(KEPT, msgspec.json.encode(self._kept))
            self._dirty = False

    def _learned(self, predictor: Predictor) -> Learned:
        kind = self._kind(predictor.endpoint)
        return learned_of(predictor, kind="" if kind is None else kind.name)

    def _kind(self, endpoint: EndpointId) -> EngineKind | None:
        """The kind of an engine of this machine; None for what is elsewhere or unknown."""
        board, snapshot = self._board, self._board.snapshot
        found = next((each for each in board.shown if each.id == endpoint), None)
        if found is None or found.remote or snapshot is None or board.inventory is None:
            return None
        assignment = next((e for e in snapshot.assignments if e.name == found.deployment), None)
        if assignment is None or assignment.artefact is None:
            return None
        threads = assignment.options.get("threads", 0)
        return kind_of(found, assignment.artefact, board, threads=threads)

    def _own(self, prefix: str) -> FleetPrior | None:
        """What this node itself knows of a kind that begins like this, the latest."""
        known = [learned_of(each, kind=name) for name, each in self._kept.items()]
        like = [each for each in known if each.kind.startswith(prefix) and is_shared(each)]
        return pooled(like[-1:], version=0) if like else None

    def _others(self, prefix: str) -> FleetPrior | None:
        """What the snapshot says of such a kind: what most nodes agree on, the latest of equals."""
        snapshot = self._board.snapshot
        if snapshot is None:
            return None
        priors = snapshot.priors
        like = [e for name, e in priors.items() if name.startswith(prefix) and not doubt(e)]
        return max(like, key=lambda each: (each.nodes, each.version), default=None)


def kind_of(endpoint: Endpoint, artefact: Artefact, board: Board, *, threads: Option) -> EngineKind:
    """What the speed of an engine depends on.

    Args:
        endpoint: It.
        artefact: What it loads.
        board: Knows the machine.
        threads: As its deployment says; 0 where it does not.
    """
    facts, inventory = artefact.facts, board.inventory or Inventory()
    shape = (facts.architecture, facts.quantisation, str(facts.layers), str(facts.parameters))
    cores = board.machine.cores
    return EngineKind(
        engine=endpoint.engine,
        device=inventory.cpu,
        threads=threads if isinstance(threads, int) and threads > 0 else cores,
        family="/".join(shape),
        weights=artefact.digest,
        build=inventory.build,
    )


def _name(endpoint: EndpointId, kind: EngineKind | None) -> str:
    return f"endpoint {endpoint}" if kind is None else kind.name
