"""Worker: what every connection of one gateway process shares."""

import asyncio
import base64
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Final, Protocol

from littoral.domain.audit import Vote
from littoral.domain.clock import Clock, Entropy
from littoral.domain.failpoint import FailpointName, Failpoints
from littoral.domain.session import Reach, Recording
from littoral.gateway import health
from littoral.gateway.quota import Quotas
from littoral.gateway.refusal import Refusal
from littoral.gateway.served import Served
from littoral.gateway.settlement import Flights
from littoral.gateway.shed import Strain
from littoral.gateway.table import KeyRow, ModelRow, Place, Source
from littoral.gateway.traffic import Memory
from littoral.gateway.wheel import Timed, Wheel
from littoral.gateway.wire.batch import Batch
from littoral.gateway.wire.calls import Calls
from littoral.gateway.wire.pump import Pump
from littoral.gateway.wire.remote import RemotePool
from littoral.gateway.wire.screener import Screener
from littoral.gateway.wire.shelf import Shelf
from littoral.gateway.wire.upstream import Pool, Target

TICK_S: Final = 0.1
REPORT_S: Final = 0.005
"""Settled slots wait at most this long for company on their way to the node."""

OFFLINE: Final = b"x-littoral-offline: true\r\n"
"""A line of every response while this node cannot reach control; it stands behind the date."""
ROOM: Final = 256 * 1024 * 1024


class Cuttable(Protocol):
    """A request that no connection asks."""

    key: KeyRow

    def cut(self, refusal: Refusal) -> None:
        """End it from our side."""
        ...


class Lasting(Cuttable, Protocol):
    """A connection that outlives single requests."""

    def leave(self, refusal: Refusal) -> None:
        """End it once nothing is under way."""
        ...


class Embed(Protocol):
    """Asks for the embedding of a text, as ``wire.meaning`` does."""

    def __call__(
        self,
        worker: "Worker",
        key: KeyRow,
        *,
        model: str,
        text: str,
        heard: Callable[[Sequence[float] | None], None],
    ) -> Callable[[], None]:
        """Ask; ``heard`` is called once, unless what is returned is called before."""
        ...


class Audit(Protocol):
    """Puts questions to others, too, as ``wire.auditing`` does."""

    def seen(self, served: Served) -> None:
        """A request was answered that may be audited."""
        ...

    def give_way(self, model: ModelRow) -> bool:
        """End what holds a slot of a model for which a request would wait; whether any did."""
        ...

    def vote(self, vote: Vote) -> None:
        """Pass on what a caller thinks."""
        ...

    def stop(self) -> None:
        """End all."""
        ...


class Worker:
    """Tables, flight slots, pools, time, and counters.

    Args:
        loop: The event loop.
        clock: Time.
        entropy: For the prefix of request ids.
        flights: The flight table.
        quotas: The limits.
        node: This node's name.
        control_socket: Path of control's unix socket.
        failpoints: Places where tests interfere; None costs nothing.
    """

    _offline = b""
    _skew_us = 0
    recording: Recording
    """Whether usage can be recorded, as the node said last."""
    embed: Embed | None = None
    """Asks for the meaning of a text; None where nobody does."""
    audit: Audit | None = None
    """Puts some questions to others, too; None where nobody does."""

    def __init__(  # noqa: PLR0913  the ports of one process
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Clock,
        entropy: Entropy,
        flights: Flights,
        quotas: Quotas,
        node: str,
        control_socket: str,
        failpoints: Failpoints | None = None,
    ) -> None:
        self.loop = loop
        self.batch = Batch(loop)
        self.clock = clock
        self.time = clock.now
        self.flights, self.quotas = flights, quotas
        self.source = Source(node)
        self.strain, self.pump, self.memory = Strain(), Pump(loop, self.source), Memory()
        self.wheel, self.screener = Wheel(), Screener(loop, clock.now)
        self.control_socket = control_socket
        self.hit: Callable[[FailpointName], None] | None = failpoints.hit if failpoints else None
        self.clients: set[Timed] = set()
        self.inners, self.sockets, self.shelf = set[Cuttable](), set[Lasting](), Shelf()
        self.counters: Counter[str] = Counter()
        self.in_flight, self.recording = 0, Recording()
        self.room = ROOM
        """Bytes of long bodies that may still be taken."""
        self.draining, self.linked = False, True
        self.report: Callable[[], object] = flights.report
        self.reporting = False
        self.pools: dict[Place, Pool] = {}
        self.calls = Calls()
        self._boot = base64.b32encode(entropy.bytes(10)).decode().lower().encode()
        self._count = 0x1000_0000  # eight digits: to pad a number costs more than to write it
        self._second: int = -1
        self.now = self.lag_s = 0.0
        self.wall_us = 0
        self.offset_us = 0
        """From monotonic to UTC microseconds, by the last tick's reading of both clocks."""
        self.date = b""
        self.tick()

    @property
    def ready(self) -> bool:
        """Whether requests are served: a snapshot is here, the node too, and no end is near."""
        return self.source.served and self.linked and not self.draining

    @property
    def offline(self) -> bool:
        """Whether control is out of reach, and responses say so."""
        return bool(self._offline)

    def request_id(self) -> bytes:
        """A new request id, unlike any other of any process."""
        self._count += 1
        return b"req_%b%x" % (self._boot, self._count)

    def pool(self, place: Place) -> Pool:
        """The connections of a place."""
        pool = self.pools.get(place)
        if pool is None:
            pool = self.pools[place] = self._new_pool(place)
        return pool

    def _new_pool(self, place: Place) -> Pool:
        if place.via is not None:
            return RemotePool(self.loop, self.batch, self.calls, endpoint=place.endpoint)
        return Pool(self.loop, _target(place), self.batch)

    def tick(self) -> None:
        """Renew time and the date line, and look at the connections whose turn it is."""
        now = self.clock.now()
        self.lag_s = max(now - self.now - TICK_S, 0.0) if self.now else 0.0
        self.now = now
        self.strain.saw(self.lag_s, now)
        self.wall_us = self.clock.wall() + self._skew_us
        self.offset_us = self.wall_us - int(now * 1e6)
        second = self.wall_us // 1_000_000
        if second != self._second:
            self._second = second
            self.date = b"date: %b\r\n%b" % (
                formatdate(second, usegmt=True).encode(),
                self._offline,
            )
            self._sweep()
        self.wheel.turn(now)
        health.look(self.source.tables.models.values(), now)
        self.pump.tick(now)

    def take_reach(self, reach: Reach) -> None:
        """Say in every response whether control is away; serve less once it is for too long."""
        self._offline = OFFLINE if reach.offline else b""
        self.quotas.offline = reach.offline
        self._skew_us = reach.skew_us
        self.source.take_end(ended=reach.ended)
        self._second = -1
        self.tick()

    def settled(self) -> None:
        """Tell the node soon, together with what else settles by then; once until it is told."""
        self.reporting = True
        self.loop.call_later(REPORT_S, self.report_now)

    def report_now(self) -> None:
        """Tell the node now."""
        self.reporting = False
        if self.flights.settled:
            self.report()

    def fault(self, error: Exception) -> None:
        """Count and log what should never happen."""
        self.counters["internal"] += 1
        self.loop.call_exception_handler({"message": "a request failed", "exception": error})

    def _sweep(self) -> None:
        """Close connections that idle, and forget places that are gone."""
        known = set(self.source.places())
        for place, pool in list(self.pools.items()):
            pool.sweep(self.now)
            if place not in known and not place.in_flight:
                pool.close()
                del self.pools[place]


def _target(place: Place) -> Target:
    address = place.endpoint.address
    return Target.of(address) if address is not None else Target("", 0)
