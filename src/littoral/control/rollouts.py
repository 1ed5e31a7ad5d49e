"""Rollouts: changed deployments on their way to everybody, judged at each step."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import anyio
import msgspec

from littoral.control.check import Specs
from littoral.control.staging import (
    UNDER_WAY,
    Rollout,
    followed,
    items_of,
    pinned,
    run_of,
    share_of,
)
from littoral.control.worker import Bell, Workers
from littoral.domain.deployment import DeploymentSpec
from littoral.domain.errors import Conflict, InvalidInput, UnknownName
from littoral.domain.ids import NodeId
from littoral.domain.node import Event, Level
from littoral.domain.ports import Chance, Clock, Entropy, Failpoints, Sink, State
from littoral.domain.rollout import NEXT, Arm, ExamScores, RolloutAct, RolloutSpec
from littoral.domain.units import Micros, Seconds
from littoral.domain.usage import UsageRecord
from littoral.domain.view import PlacedEndpoint, RolloutView
from littoral.placement.canary import Ruling, judge

PREFIX: Final = "rollout/"
LOOK_S: Final = Seconds(5.0)
KEPT: Final = 4000
"""Requests of one version that are remembered."""
DEAD: Final = frozenset({"degraded", "failed"})
FAILED: Final = frozenset({"failed", "interrupted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutParts:
    """What rollouts ask of control; ``specs`` touches the state."""

    state: State
    clock: Clock
    chance: Chance
    workers: Workers
    bell: Bell
    sink: Sink
    failpoints: Failpoints
    specs: Callable[[], Specs]
    endpoints: Callable[[], Sequence[PlacedEndpoint]]


@dataclass(slots=True)
class _Seen:
    """Requests to one version, the newest last."""

    records: deque[UsageRecord] = field(default_factory=lambda: deque(maxlen=KEPT))

    def arm(self) -> Arm:
        """As it is judged."""
        records = [each for each in self.records if each.status != "cancelled"]
        good = [each for each in records if each.status == "ok"]
        return Arm(
            firsts=tuple(each.first_us / 1e6 for each in good),
            steps=tuple(
                (each.total_us - each.first_us) / 1e6 / (each.tokens_out - 1)
                for each in good
                if each.tokens_out > 1
            ),
            failed=sum(each.status in FAILED for each in records),
            total=len(records),
        )


class Rollouts:
    """Every deployment's way from one version to the next.

    Args:
        parts: See ``RolloutParts``.
    """

    def __init__(self, parts: RolloutParts) -> None:
        self._parts = parts
        self._seen: dict[str, _Seen] = {}
        self._ruled: dict[str, tuple[tuple[object, ...], Ruling]] = {}
        self._one_at_a_time = anyio.Lock()
        """Held from reading a rollout until it is written: nobody's decision is lost."""

    def take(self, records: Iterable[UsageRecord]) -> None:
        """Take usage that came from nodes."""
        for record in records:
            self._seen.setdefault(record.deployment, _Seen()).records.append(record)

    async def run(self, every_s: Seconds = LOOK_S) -> None:
        """Follow what is declared and judge what runs, so many seconds apart, until cancelled."""
        while True:
            await self.look()
            await anyio.sleep(every_s)

    async def look(self) -> None:
        """Follow and judge once."""
        async with self._one_at_a_time:
            for name, rollout in (await self._parts.workers.state(self._followed)).items():
                if rollout.state == "running":
                    await self._judge(name, rollout)

    async def act(self, name: str, act: RolloutAct) -> RolloutView:
        """Do what an operator wants.

        Raises:
            UnknownName: No such deployment.
            Conflict: It is not on its way anywhere.
        """
        async with self._one_at_a_time:
            after = self._acted(name, await self._one(name), act)
            await self._put(name, after, code=f"rollout_{act}")
        return self._view(name, after)

    def _acted(self, name: str, rollout: Rollout, act: RolloutAct) -> Rollout:
        if rollout.wanted is None or rollout.state not in UNDER_WAY:
            raise Conflict(f"{name!r} is {rollout.state}: no rollout is under way")
        match act:
            case "pause":
                return replace(rollout, state="paused", why="paused by an operator")
            case "resume":
                return replace(rollout, state="running", since_us=self._now(), why="resumed")
            case "undo":
                return _undone(rollout, "by an operator")
            case "promote":
                return Rollout(stable=rollout.wanted, why="promoted by an operator")

    async def score(self, name: str, old: Sequence[float], new: Sequence[float]) -> RolloutView:
        """Take scores (0 to 1) of the same golden items, for both versions.

        Raises:
            InvalidInput: Not as many of one as of the other, or out of range.
        """
        diffs = _differences(old, new)
        async with self._one_at_a_time:
            rollout = await self._one(name)
            after = replace(rollout, diffs=(*rollout.diffs, *diffs)[-KEPT:])
            await self._put(name, after, code="")
        return self._view(name, after)

    async def ran(self, node: NodeId, scores: ExamScores) -> None:
        """Take what a node found; of several, and of one that says it again, the longest counts."""
        async with self._one_at_a_time:
            kept = await self._parts.workers.state(self._followed)
            name = scores.deployment
            rollout = kept.get(name)
            if rollout is None or run_of(rollout) != scores.run:
                return
            try:
                diffs = _differences(scores.old, scores.new)[: len(items_of(rollout))]
            except InvalidInput as error:
                text, code = f"{node}: {error.message}", "rollout_scores_refused"
                self._say(name, text, code=code, level="warning")
                return
            if len(diffs) > len(rollout.run):
                await self._put(name, replace(rollout, run=diffs), code="")

    async def views(self) -> Sequence[RolloutView]:
        """Every deployment that has bounds, or a rollout."""
        kept = await self._parts.workers.state(self._followed)
        return [
            self._view(name, each)
            for name, each in sorted(kept.items())
            if each.wanted is not None or each.stable.rollout is not None
        ]

    def _followed(self) -> Mapping[str, Rollout]:
        state, found = self._parts.state, dict[str, Rollout]()
        kept = kept_rollouts(state)
        specs = self._parts.specs()
        for (_, name), spec in specs.items():
            if isinstance(spec, DeploymentSpec):
                before, now = kept.get(name), pinned(spec, specs)
                after = found[name] = followed(before, now, now_us=self._now())
                if after != before:
                    state.put_value(PREFIX + name, msgspec.json.encode(after))
                if after.state == "running" and (before is None or before.wanted != after.wanted):
                    self._forget(name)
        for name in set(kept) - set(found):
            state.put_value(PREFIX + name, None)
        return found

    async def _judge(self, name: str, rollout: Rollout) -> None:
        spec = _bounds(rollout)
        dead = [
            f"{each.node}: {each.endpoint.reason}"
            for each in self._parts.endpoints()
            if each.endpoint.deployment == name + NEXT and each.endpoint.state in DEAD
        ]
        if dead:
            await self._put(name, _undone(rollout, dead[0]), code="rolled_back", level="error")
            return
        ruling = self._ruling(name, rollout)
        self._parts.failpoints.hit("canary.verdict")
        if ruling.verdict == "reject":
            after = _undone(rollout, ruling.why)
            await self._put(name, after, code="rolled_back", level="error")
        elif ruling.verdict == "accept" and self._waited(rollout, spec):
            await self._advance(name, rollout, ruling.why)

    def _ruling(self, name: str, rollout: Rollout) -> Ruling:
        """What its bounds say; asked anew only of other figures: a bound is not tried by luck."""
        spec, diffs = _bounds(rollout), _scored(rollout)
        old, new = (self._arm(each) for each in (name, name + NEXT))
        asked, known = (spec, old, new, diffs), self._ruled.get(name)
        if known is None or known[0] != asked:
            known = asked, judge(spec, old, new, diffs=diffs, chance=self._parts.chance)
            self._ruled[name] = known
        return known[1]

    async def _advance(self, name: str, rollout: Rollout, why: str) -> None:
        if rollout.step + 1 >= len(_bounds(rollout).steps) and rollout.wanted is not None:
            await self._put(name, Rollout(stable=rollout.wanted, why=why), code="rollout_promoted")
            return
        after = replace(rollout, step=rollout.step + 1, since_us=self._now(), why=why)
        self._seen.pop(name + NEXT, None)
        await self._put(name, after, code="rollout_step")

    def _waited(self, rollout: Rollout, spec: RolloutSpec) -> bool:
        return self._now() - rollout.since_us >= spec.minutes * 60_000_000

    async def _put(self, name: str, rollout: Rollout, *, code: str, level: Level = "info") -> None:
        parts = self._parts
        value = msgspec.json.encode(rollout)
        await parts.workers.state(partial(parts.state.put_value, PREFIX + name, value))
        self._ruled.pop(name, None)
        parts.bell.ring()
        if not code:
            return
        share = f"{100 * share_of(rollout):.0f} % of requests"
        self._say(name, f"{rollout.state}, {share}: {rollout.why}", code=code, level=level)

    def _say(self, name: str, text: str, *, code: str, level: Level) -> None:
        self._parts.sink.emit(
            Event(
                at_us=self._now(),
                level=level,
                subject=f"deployment/{name}",
                code=code,
                message=f"{name}: {text}",
            )
        )

    async def _one(self, name: str) -> Rollout:
        kept = await self._parts.workers.state(self._followed)
        if name not in kept:
            known = ", ".join(sorted(kept)) or "none"
            raise UnknownName(f"no deployment is named {name!r}; known: {known}")
        return kept[name]

    def _view(self, name: str, rollout: Rollout) -> RolloutView:
        new, ruled = self._arm(name + NEXT), self._ruled.get(name)
        return RolloutView(
            deployment=name,
            state=rollout.state,
            old=rollout.stable.model,
            new=rollout.wanted.model if rollout.wanted else rollout.stable.model,
            percent=round(100 * share_of(rollout)),
            since_us=rollout.since_us,
            requests=new.total,
            failed=new.failed,
            scored=len(_scored(rollout)),
            why=rollout.why if ruled is None else ruled[1].why,
            golden=_bounds(rollout).scores,
        )

    def _arm(self, name: str) -> Arm:
        return self._seen[name].arm() if name in self._seen else Arm()

    def _forget(self, name: str) -> None:
        self._ruled.pop(name, None)
        for each in (name, name + NEXT):
            self._seen.pop(each, None)

    def _now(self) -> Micros:
        return self._parts.clock.wall()


def kept_rollouts(state: State) -> Mapping[str, Rollout]:
    """What is known, by deployment."""
    return {
        name.removeprefix(PREFIX): msgspec.json.decode(value, type=Rollout)
        for name, value in state.values(PREFIX).items()
    }


DRAWN = 128
"""Numbers that are drawn from the system at one time."""


class EntropyChance:
    """Chance from unpredictable bytes.

    Args:
        entropy: Where they come from.
    """

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._drawn: list[bytes] = []

    def random(self) -> float:
        """A float in [0, 1)."""
        if not self._drawn:
            block = self._entropy.bytes(DRAWN * 6)
            self._drawn = [block[at : at + 6] for at in range(0, len(block), 6)]
        return int.from_bytes(self._drawn.pop(), "big") / 2**48


def _differences(old: Sequence[float], new: Sequence[float]) -> tuple[float, ...]:
    """Old minus new, item by item. Raises ``InvalidInput``."""
    if len(old) != len(new) or not all(0 <= each <= 1 for each in (*old, *new)):
        raise InvalidInput("give one score from 0 to 1 an item, for both versions")
    return tuple(before - after for before, after in zip(old, new, strict=True))


def _scored(rollout: Rollout) -> tuple[float, ...]:
    """Every golden item that is scored, whoever did."""
    return (*rollout.diffs, *rollout.run)


def _bounds(rollout: Rollout) -> RolloutSpec:
    spec = rollout.wanted.rollout if rollout.wanted else None
    return spec or RolloutSpec()


def _undone(rollout: Rollout, why: str) -> Rollout:
    return replace(rollout, state="undone", why=f"undone: {why}")
