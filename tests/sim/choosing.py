"""Where requests go, played: one edge machine with slots, a cloud API behind a link that fails.

The edge is an engine of steps, the cloud a distribution; both are learned by the predictors that
serve, and the choice is the gateway's own ``rank``. Times are virtual, seeds fixed.
"""

import math
from dataclasses import dataclass
from heapq import heappop, heappush

from littoral.cost.length import Length, leaned, seen
from littoral.cost.predictor import Outcome, Predictor, Prior, fold, fresh, observe
from littoral.domain.endpoint import Folded
from littoral.domain.ids import EndpointId
from littoral.placement.decide import Row, Verdict, rank
from littoral.placement.harm import Flight, slope
from littoral.testing.chance import SeededChance
from sim.policies import Policy, View, cloud_only, ours
from sim.stepper import B0, B1, B2, SLOTS, Ask, Stepper

PRICE_IN, PRICE_OUT = 0.15, 0.60
BEAT_S, LOST = 5.0, 3
OUTAGE_S = 60.0
MEAN_DELAY_S = 0.35
"""What a mean newcomer holds the others up."""
TAGS = {  # share, deadline, input (mu, sigma), output (mu, sigma)
    "chat": (0.5, 2.0, (3.6, 0.6), (3.6, 0.7)),
    "rag": (0.3, 2.0, (4.9, 0.5), (2.8, 0.5)),
    "sum": (0.2, 4.0, (5.3, 0.3), (4.0, 0.3)),
}
EDGE_PRIOR = Prior(fixed_s=B0, prefill_s=B1, step_s=B0 + B2, crowd_s=B2)
CLOUD_PRIOR = Prior(fixed_s=0.4, prefill_s=1e-5, step_s=0.012, crowd_s=1e-6)


EDGE = Row("edge", *(True, 1, 1 << 30, SLOTS, 0.0, 0.0, 0.0, 0.3, 1.0, 0.0, 0.0))
CLOUD = Row("cloud", *(True, 1, 1 << 30, 1 << 20, 0.44, 0.0, 0.012, 0.3, 1.0, PRICE_IN, PRICE_OUT))


@dataclass(slots=True)
class Known:
    """What a gateway has learned of both places and of the lengths of each tag."""

    edge: Predictor
    cloud: Predictor
    lengths: dict[str, Length]


@dataclass(frozen=True, slots=True)
class Result:
    """Share of deadlines met, cost of the cloud, and what was refused or failed, of all."""

    attainment: float
    cost: float
    failed: float
    shed: float
    cloud: float
    pairs: tuple[tuple[float, float, float], ...]


class Play:
    """One run of one policy."""

    def __init__(self, policy: Policy, *, rate: float, seed: int, count: int) -> None:
        self._policy = policy
        self._asks = asks(rate, seed, count)
        span = self._asks[-1].came
        self._outages = [(at * span, at * span + OUTAGE_S) for at in (0.2, 0.5, 0.8)]
        self._chance = SeededChance(seed * 7 + 1)
        self._edge = Stepper(
            slow=lambda now: 1.8 if 0.6 * span <= now < 0.75 * span else 1.0, done=self._edge_done
        )
        self._known = Known(
            edge=fresh(EndpointId("edge"), prior=EDGE_PRIOR),
            cloud=fresh(EndpointId("cloud"), prior=CLOUD_PRIOR),
            lengths={
                tag: Length(p50=terms[3][0], p90=terms[3][0] + 1) for tag, terms in TAGS.items()
            },
        )
        self._flying: list[tuple[float, int, Ask]] = []
        self._cost = 0.0
        self._tries: list[tuple[float, int, Ask]] = []
        self.pairs: list[tuple[float, float, float]] = []

    def run(self) -> Result:
        """Let all requests come."""
        for number, ask in enumerate(self._asks):
            self._pass(ask.came)
            self._place(ask, number)
        self._pass(self._asks[-1].came + 1e5)
        total = len(self._asks)
        return Result(
            attainment=sum(ask.ended - ask.came <= ask.deadline for ask in self._asks) / total,
            cost=self._cost / total * 1e6,
            failed=sum(ask.place == "failed" for ask in self._asks) / total,
            shed=sum(ask.place == "shed" for ask in self._asks) / total,
            cloud=sum(ask.place == "cloud" for ask in self._asks) / total,
            pairs=tuple(self.pairs),
        )

    def _pass(self, now: float) -> None:
        while self._tries and self._tries[0][0] <= now:
            when, _, ask = heappop(self._tries)
            self._edge.run(when)
            self._enter(ask, when)
        self._edge.run(now)
        while self._flying and self._flying[0][0] <= now:
            when, _, ask = heappop(self._flying)
            self._cloud_done(ask, when)

    def _truth(self, now: float) -> tuple[Row, ...]:
        """Both places as they really are at this moment."""
        slow = self._edge.slow(now)
        return (
            EDGE._replace(
                t0=B0 * slow,
                t_in=B1 * slow,
                t_step=(B0 + B2) * slow,
                t_crowd=B2 * slow,
                width=fold(self._known.edge, version=0).width,
                harm=self._harm(now),
            ),
            CLOUD._replace(ready=not self._is_out(now)),
        )

    def _is_out(self, now: float) -> bool:
        return any(begin <= now < end for begin, end in self._outages)

    def _believed_up(self, now: float) -> bool:
        """What beats say: down after three missed, up after two good ones."""
        beats = [not self._is_out((now // BEAT_S - back) * BEAT_S) for back in range(LOST)]
        before = [self._is_out((now // BEAT_S - back) * BEAT_S) for back in range(LOST, LOST + 12)]
        return beats[0] and beats[1] if any(before) else any(beats)

    def _place(self, ask: Ask, number: int) -> None:
        up = self._believed_up(ask.came)
        length = self._known.lengths[ask.tag]
        view = View(
            ask=ask,
            rows=self._rows(ask, up=up),
            loads=(self._edge.load, 0),
            tokens_out=max(1, round(length.expected)),
            length=length.width,
            cloud_up=up,
            truth=self._truth(ask.came),
            flying=len(self._flying),
        )
        ask.place = "edge" if ask.confidential else self._policy(view)
        if ask.confidential and self._policy(view) == "shed":
            ask.place = "shed"
        if ask.place == "shed":
            return
        wait = min(1.0, 0.3 * ask.deadline) if self._policy is ours else 1.0
        if ask.place == "cloud" and self._is_out(ask.came):
            if self._policy is cloud_only:
                ask.place = "failed"
                return
            ask.place = "edge"
            heappush(self._tries, (ask.came + wait, number, ask))
        elif ask.place == "cloud":
            self._send(ask, number, view)
        else:
            self._enter(ask, ask.came)

    def _enter(self, ask: Ask, now: float) -> None:
        length = self._known.lengths[ask.tag]
        verdict = ranked([self._rows(ask, up=False)[0]], [self._edge.load], ask, length)
        ask.p50, ask.p90, ask.active = verdict[3], verdict[4], self._edge.load
        self._edge.take(ask, now)

    def _send(self, ask: Ask, number: int, view: View) -> None:
        cloud = view.rows[1]._replace(ready=True)
        verdict = ranked([cloud], [0], ask, self._known.lengths[ask.tag])
        ask.p50, ask.p90, ask.began = verdict[3], verdict[4], ask.came
        first = 0.06 * self._lognormal(0.4) + 0.35 * self._lognormal(0.3)
        ask.first = ask.came + first
        heappush(self._flying, (ask.first + 0.012 * ask.tokens_out, number, ask))
        self._cost += (ask.tokens_in * PRICE_IN + ask.tokens_out * PRICE_OUT) / 1e6

    def _lognormal(self, sigma: float) -> float:
        return math.exp(sigma * normal(self._chance))

    def _rows(self, ask: Ask, *, up: bool) -> tuple[Row, ...]:
        edge, cloud = fold(self._known.edge, version=0), fold(self._known.cloud, version=0)
        return (
            learned(EDGE, edge)._replace(harm=self._harm(ask.came)),
            learned(CLOUD, cloud)._replace(ready=up),
        )

    def _harm(self, now: float) -> float:
        flights = [
            Flight(
                left_s=each.came + each.deadline - now,
                needs_s=max(0.05, each.p50 - (now - each.began)),
                spread=max(1.02, each.p90 / each.p50),
            )
            for each in (*self._edge.serving, *self._edge.queue)
        ]
        return slope(flights, delay_s=MEAN_DELAY_S)

    def _edge_done(self, ask: Ask, now: float) -> None:
        ask.ended = now
        self._known.edge = self._learn(self._known.edge, ask, now, slots=SLOTS)

    def _cloud_done(self, ask: Ask, now: float) -> None:
        ask.ended = now
        self._known.cloud = self._learn(self._known.cloud, ask, now, slots=1 << 20)

    def _learn(self, predictor: Predictor, ask: Ask, now: float, *, slots: int) -> Predictor:
        self.pairs.append((ask.p50, ask.p90, now - ask.began))
        heard = seen(self._known.lengths[ask.tag], ask.tokens_out)
        self._known.lengths[ask.tag] = leaned(heard, late=now - ask.began > ask.p50)
        outcome = Outcome(
            tokens_in=ask.tokens_in,
            tokens_out=ask.tokens_out,
            active=ask.active,
            slots=slots,
            first_s=ask.first - ask.began,
            total_s=now - ask.began,
            predicted_p90_s=ask.p90,
        )
        return observe(predictor, outcome)


def learned(row: Row, folded: Folded) -> Row:
    """A place as it was learned."""
    return row._replace(
        t0=folded.t0,
        t_in=folded.t_in,
        t_step=folded.t_step,
        t_crowd=folded.t_crowd,
        width=folded.width,
        scale=folded.scale,
    )


def normal(chance: SeededChance) -> float:
    """A draw of the standard normal."""
    radius = math.sqrt(-2.0 * math.log(1.0 - chance.random()))
    return radius * math.cos(2 * math.pi * chance.random())


def asks(rate: float, seed: int, count: int) -> list[Ask]:
    """The requests of one seed, the same for every policy."""
    chance, now, made = SeededChance(seed), 0.0, []
    for _ in range(count):
        now -= math.log(1.0 - chance.random()) / rate
        draw, tag = chance.random(), "sum"
        for name, (share, *_) in TAGS.items():
            if draw < share:
                tag = name
                break
            draw -= share
        _, deadline, ins, outs = TAGS[tag]
        made.append(
            Ask(
                came=now,
                tag=tag,
                tokens_in=min(900, max(8, round(math.exp(ins[0] + ins[1] * normal(chance))))),
                tokens_out=min(160, max(4, round(math.exp(outs[0] + outs[1] * normal(chance))))),
                deadline=deadline,
                confidential=chance.random() < 0.15,
            )
        )
    return made


def ranked(rows: list[Row], loads: list[int], ask: Ask, length: Length) -> Verdict:
    """What the gateway's own rule predicts."""
    return rank(
        rows,
        loads,
        tokens_in=ask.tokens_in,
        tokens_out=max(1, round(length.expected)),
        mask=1,
        total_s=ask.deadline,
        skip=0,
        length=length.width,
    )
