"""Clients on a machine's own network, who ask whether or not it keeps up, and remember all."""

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from e2e import load
from lab.machine import CHAT, Machine

MOST = 48
"""Requests under way of one machine's clients; more wait, and are late."""


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent and answered, s since the begin of the lab, and what came."""

    machine: str
    sent: float
    ended: float
    got: load.Got

    @property
    def failed(self) -> bool:
        """Whether its client got no whole answer and did not leave by itself."""
        left = self.got.kind == "cancel" and self.got.status == 200 and not self.got.why
        return not (self.got.complete or left)

    @property
    def offline(self) -> bool:
        """Whether the answer said that control is out of reach."""
        return self.got.headers.get("x-littoral-offline") == "true"


class Traffic:
    """Sends to machines and keeps what came of it.

    Args:
        key: Of the clients.
        began: The lab's begin, on the monotonic clock.
    """

    def __init__(self, key: str, began: float) -> None:
        self._key = key
        self._began = began
        self._lock = threading.Lock()
        self._asked: list[Asked] = []

    @property
    def asked(self) -> Sequence[Asked]:
        """Everything so far, by the time of its end."""
        with self._lock:
            return list(self._asked)

    def now(self) -> float:
        """Seconds since the lab's begin."""
        return time.monotonic() - self._began

    def ask(self, machine: Machine, chance: random.Random) -> Asked:
        """One request, now."""
        sent = self.now()
        got = load.ask(machine, chance, model=CHAT, key=self._key)
        asked = Asked(machine.space, sent, self.now(), got)
        with self._lock:
            self._asked.append(asked)
        return asked

    @contextmanager
    def flowing(self, machines: Sequence[Machine], *, rate: float, seed: int) -> Iterator[None]:
        """Meanwhile each machine is asked ``rate`` times a second, at random moments."""
        over = threading.Event()
        crews = [
            threading.Thread(target=self._pour, args=(each, rate, seed + at, over))
            for at, each in enumerate(machines)
        ]
        for crew in crews:
            crew.start()
        try:
            yield
        finally:
            over.set()
            for crew in crews:
                crew.join()

    def _pour(self, machine: Machine, rate: float, seed: int, over: threading.Event) -> None:
        chance, room = random.Random(seed), threading.Semaphore(MOST)
        open_ones: list[threading.Thread] = []

        def one(mine: random.Random) -> None:
            with room:
                self.ask(machine, mine)

        due = time.monotonic()
        while not over.wait(max(0.0, due - time.monotonic())):
            due += chance.expovariate(rate)
            mine = random.Random(chance.getrandbits(64))
            open_ones = [each for each in open_ones if each.is_alive()]
            open_ones.append(threading.Thread(target=one, args=(mine,)))
            open_ones[-1].start()
        for each in open_ones:
            each.join()
