"""Charged: what one request holds of its limits, from admission to settlement."""

from collections.abc import Sequence
from typing import Final, cast

from littoral.domain.errors import LedgerFull
from littoral.domain.limits import nanos
from littoral.domain.quota import Charge, Use
from littoral.gateway.asked import Asked, cap_of
from littoral.gateway.quota import TEMPLATE_TOKENS, Gate, most_money
from littoral.gateway.refusal import Refusal, refuse
from littoral.gateway.route import Route
from littoral.gateway.table import KeyRow, ModelRow, Place
from littoral.gateway.tokenization import unbilled
from littoral.gateway.wire.worker import Worker

_LEDGER_FULL: Final = refuse(
    LedgerFull,
    "this node holds all the usage records that it may: what must be counted waits until its "
    "control plane takes them, or there is room on its disk",
    retry_after_s=30.0,
)


class Charged:
    """The part of an account that speaks to limits; it has no limits unless ``reserve`` is called.

    Its fields are the account's.
    """

    key: KeyRow
    asked: Asked
    model: ModelRow
    route: Route
    place: Place = cast("Place", None)
    _worker: Worker
    _tokens_in: int
    _started = 0.0
    _charge: Charge | None
    _bounded: bytes
    _size = 0

    @property
    def is_free(self) -> bool:
        """Whether no model runs for it, so that nothing is used."""
        return self.route.weigh is unbilled

    def gates(self) -> tuple[Gate, ...]:
        """The limits of its key, its project and its model."""
        key, model = self.key, self.model
        return key.gates + model.gates if model.gates else key.gates

    def unrecorded(self, gates: Sequence[Gate]) -> Refusal | None:
        """Say that what it uses cannot be recorded, where it cannot and has to be."""
        recording = self._worker.recording
        if not recording.full:
            return None
        if recording.unmetered and not any(gate.budget >= 0 for gate in gates):
            return None
        return _LEDGER_FULL

    def over_limit(self, gates: Sequence[Gate]) -> Refusal | None:
        """Say which limit is used up, where there is no place either."""
        worker = self._worker
        now = worker.time()
        return worker.quotas.peek(gates, int(now * 1e9), int(now * 1e6) + worker.offset_us)

    def reserve(self, gates: Sequence[Gate], slot: int) -> Refusal | None:
        """Charge the request to its limits; ``open`` must follow.

        Money is reserved for the dearest place that it may move to; where that is too much, for the
        one that was chosen.
        """
        quotas, now_ns = self._worker.quotas, int(self._started * 1e9)
        if len(gates) == 1 and gates[0].paces:
            told = quotas.pace(gates[0], now_ns)
            if isinstance(told, Refusal):
                return told
            self._bounded = told
            return None
        refusal = self._hold(gates, slot, now_ns=now_ns)
        if refusal is None:
            self._bounded = quotas.story(gates, now_ns)
        return refusal

    def reserve_more(self, gates: Sequence[Gate], slot: int) -> Refusal | None:
        """Charge a further call for the same request, which counts as none of its own.

        ``open`` must follow.
        """
        self._charge = None
        if not any(gate.holds for gate in gates):
            return None
        return self._hold(gates, slot, now_ns=int(self._started * 1e9), calls=0)

    def _hold(
        self, gates: Sequence[Gate], slot: int, *, now_ns: int, calls: int = 1
    ) -> Refusal | None:
        quotas, at_us = self._worker.quotas, now_ns // 1000 + self._worker.offset_us
        tokens, money = self._most_at(self.place)
        most = money
        if money and len(self.model.places) > 1:
            most = max([self._most_at(place)[1] for place in self.model.places])
        found = quotas.admit(gates, Use(tokens, most, at_us, now_ns, calls), slot, least=money)
        if isinstance(found, Refusal):
            return found
        if found.rows:
            self._charge = found
        else:
            quotas.seal()
        return None

    def _most_at(self, place: Place) -> tuple[int, int]:
        """The tokens to count on at a place, and the most that they may cost there."""
        asked, tokens_in = self.asked, self._tokens_in
        if self.is_free:
            return 0, 0
        cap = cap_of(asked.cap, most=place.cap, context=place.context, tokens_in=tokens_in)
        out = cap * asked.choices
        if not place.priced:
            return tokens_in + out, 0
        worst_in = max(asked.heaviest or self._size, tokens_in) + TEMPLATE_TOKENS
        if place.context and not asked.longest:
            worst_in = min(worst_in, place.context * asked.choices)
        money = most_money(worst_in, out, price_in=place.price_in, price_out=place.price_out)
        return tokens_in + out, money

    def _fits(self, place: Place) -> bool:
        """Whether what is reserved covers another place."""
        return self._charge is None or self._most_at(place)[1] <= self._charge.money

    def _return(self, charge: Charge, slot: int, counts: tuple[int, ...], *, cost: float) -> None:
        """Give back what it holds, count what it used, and settle its slot.

        Args:
            charge: What it holds.
            slot: Of the flight table.
            counts: As ``Flights.settle`` takes them.
            cost: In the platform's currency.
        """
        worker = self._worker
        tokens_in, _, tokens_out, at_us = counts[3:7]
        now_ns = int(worker.time() * 1e9)
        worker.quotas.settle(charge, slot, Use(tokens_in + tokens_out, nanos(cost), at_us, now_ns))
        worker.flights.settle(slot, counts)
        worker.quotas.seal()
