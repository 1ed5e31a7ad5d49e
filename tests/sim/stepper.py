"""Stepper: requests of a simulated client, and an engine that serves them in steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from littoral.domain.platform import Steps

B0, B1, B2 = 0.0042, 0.0028, 0.0063
"""Seconds of a step, of an input token in it, of a sequence that writes in it."""
SLOTS, CHUNK = 4, 512
STEPS = Steps(b0=B0, b1=B1, b2=B2, chunk=CHUNK)


@dataclass(slots=True, eq=False)
class Ask:
    """One request and what became of it."""

    came: float
    tag: str
    tokens_in: int
    tokens_out: int
    deadline: float
    confidential: bool
    fresh_left: int = 0
    out_left: int = 0
    began: float = 0.0
    active: int = 0
    p50: float = 0.0
    p90: float = 0.0
    first: float = 0.0
    ended: float = math.inf
    place: str = ""


@dataclass(slots=True)
class Stepper:
    """An engine that runs in steps: inputs in chunks, all sequences in slots together."""

    slow: Callable[[float], float]
    done: Callable[[Ask, float], None]
    steps: Steps = STEPS
    slots: int = SLOTS
    now: float = 0.0
    serving: list[Ask] = field(default_factory=list)
    queue: list[Ask] = field(default_factory=list)

    @property
    def load(self) -> int:
        """Requests that are there."""
        return len(self.serving) + len(self.queue)

    def take(self, ask: Ask, now: float) -> None:
        """Let one in; it joins at the next step."""
        self.now = now if not self.load else max(self.now, now)
        ask.fresh_left, ask.out_left, ask.began = ask.tokens_in, ask.tokens_out, now
        (self.serving if len(self.serving) < self.slots else self.queue).append(ask)

    def run(self, until: float) -> None:
        """Take steps until this time."""
        while self.serving and self.now < until:
            self._step(until)

    def _step(self, until: float) -> None:
        steps = self.steps
        room, readers = steps.chunk, []
        for ask in self.serving:
            if ask.fresh_left and room:
                part = min(room, ask.fresh_left)
                room -= part
                readers.append((ask, part))
        writers = [ask for ask in self.serving if not ask.fresh_left]
        took = steps.b0 + steps.b1 * (steps.chunk - room) + steps.b2 * len(writers)
        if steps.b3 or steps.b4:
            took += self._attention(readers)
        took *= self.slow(self.now)
        times = 1
        if not readers:
            least = min(ask.out_left for ask in writers)
            times = max(1, min(least, math.ceil((until - self.now) / took)))
        self.now += took * times
        for ask in writers:
            ask.out_left -= times
        for ask, part in readers:
            ask.fresh_left -= part
            if not ask.fresh_left:
                ask.out_left -= 1
                ask.first = self.now
        self._leave()

    def _attention(self, readers: list[tuple[Ask, int]]) -> float:
        """Seconds of a step that grow with what is held and with what is read behind what."""
        held = sum(a.tokens_in - a.fresh_left + a.tokens_out - a.out_left for a in self.serving)
        heed = sum(part * (a.tokens_in - a.fresh_left + part / 2) for a, part in readers)
        return self.steps.b3 * held + self.steps.b4 * heed

    def _leave(self) -> None:
        ended = [ask for ask in self.serving if not ask.fresh_left and ask.out_left <= 0]
        for ask in ended:
            self.serving.remove(ask)
            self.done(ask, self.now)
        while self.queue and len(self.serving) < self.slots:
            self.serving.append(self.queue.pop(0))
