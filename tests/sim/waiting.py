"""Requests that wait for the slots of one model: first come first served, or by ``Line``."""

from collections import Counter, deque

from littoral.gateway.lane import Claim, Ticket
from littoral.gateway.line import Line
from littoral.gateway.queue import FairQueue
from sim.arena import Engine, Job, World


class Plain:
    """Without policy: everyone waits in the order of arrival."""

    def __init__(self, world: World, slots: int) -> None:
        self.world, self.engine = world, Engine(slots)
        self.waiting: deque[Job] = deque()
        self.asked: list[Job] = []
        self.done: list[Job] = []
        self.refused: list[Job] = []
        self.seconds: Counter[str] = Counter()

    def take(self, job: Job) -> None:
        """A request comes."""
        self.asked.append(job)
        self.waiting.append(job)
        self._go()

    def _go(self) -> None:
        while self.engine.free and self.waiting:
            self._serve(self.waiting.popleft())

    def _serve(self, job: Job) -> None:
        self.engine.taken += 1
        job.wait_s = self.world.now - job.came
        self.world.at(self.world.now + job.busy_s, lambda: self._end(job))

    def _end(self, job: Job) -> None:
        self.engine.taken -= 1
        job.ended = self.world.now
        self.done.append(job)
        self.seconds[job.project] += job.busy_s
        self._go()


class Fair(Plain):
    """With policy: the gateway's line."""

    def __init__(self, world: World, slots: int, *, target_s: float | None = None) -> None:
        super().__init__(world, slots)
        self.line: Line[Job] = Line(FairQueue(), target_s=target_s)
        self.tickets: dict[int, Ticket[Job]] = {}

    def tick(self) -> None:
        """Ten times a second."""
        self.refused += [ticket.item for ticket in self.line.tick(self.world.now)]

    def take(self, job: Job) -> None:
        """A request comes."""
        self.asked.append(job)
        if self.engine.free and not self.line.queue.count:
            self._serve(job)
            return
        claim = Claim(job.project, job.level, job.weight, job.expected_s, job.due, 1000)
        slots = self.engine.slots
        ticket, gone = self.line.join(job, claim, slots=slots, now=self.world.now)
        self.refused += [each.item for each in gone]
        if not isinstance(ticket, Ticket):
            self.refused.append(job)

    def _go(self) -> None:
        while self.engine.free:
            ticket, shed = self.line.next(self.world.now)
            self.refused += [each.item for each in shed]
            if ticket is None:
                return
            self.tickets[id(ticket.item)] = ticket
            self._serve(ticket.item)

    def _end(self, job: Job) -> None:
        ticket = self.tickets.pop(id(job), None)
        if ticket is not None:
            self.line.queue.settle(ticket, actual_s=job.busy_s)
        super()._end(job)
