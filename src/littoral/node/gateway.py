"""The gateway child: started with its inherited sockets, fed, watched and replaced."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import anyio

from littoral.domain.errors import LittoralError
from littoral.domain.ports import Chance, Channel, ChannelClosed, Clock
from littoral.domain.session import Frame, Freed, Judged, Pulse, Said, Settled, Voted
from littoral.domain.units import Seconds
from littoral.node.backoff import Patience, delay
from littoral.node.board import Board
from littoral.node.booking import Booking
from littoral.node.findings import Findings
from littoral.node.relay import Relay
from littoral.node.shelf import Link, Shelf

TICK = Seconds(0.25)
SILENT_TICKS = 5
"""So many ticks without a pulse, while we ourselves ran on time: it hangs."""
BLAMELESS_TICKS = 20
"""The same while another gateway holds the limits: that one is to blame, and is replaced first."""
FIRST_TICKS = 80
"""The same before the first pulse: it may still be starting."""
STEADY = Seconds(30.0)
KILLED = "killed by signal 9"
"""Why a gateway ended that somebody killed: no fault of what it served from."""
RESTART_CAP = Seconds(5.0)
CUT = Seconds(2.0)
"""Added to the drain time: for the gateway to cut what did not end, and to settle it."""


class GatewayProcess(Protocol):
    """A running gateway."""

    @property
    def channel(self) -> Channel:
        """The pipe of frames to it."""
        ...

    @property
    def pid(self) -> int:
        """Its process."""
        ...

    def stop(self) -> None:
        """Ask it to finish what is open, take nothing new, and end."""
        ...

    async def wait(self) -> str:
        """Return why it ended, once it has."""
        ...


Launch = Callable[[], AbstractAsyncContextManager[GatewayProcess]]
"""Starts a gateway; leaving the context kills what is left of it."""


class GatewayKeeper:
    """Keeps one gateway running, and books what a dead one left before the next starts.

    Args:
        launch: Starts it.
        board: What to tell it.
        booking: What to do with what it settled.
        shelf: What to do with the responses it keeps, asks for and runs.
        relay: The calls between it and other nodes.
        findings: What to do with what its audits find.
        clock: Tells how long it lived.
        chance: Jitter of restarts.
        patience: How long it may take to end when it is asked to, and to come back.
        role: Its name among processes.
    """

    def __init__(  # noqa: PLR0913  everything that a gateway needs of its node meets here
        self,
        launch: Launch,
        *,
        board: Board,
        booking: Booking,
        shelf: Shelf,
        relay: Relay,
        findings: Findings,
        clock: Clock,
        chance: Chance,
        patience: Patience,
        role: str = "gateway",
    ) -> None:
        self._launch = launch
        self._board = board
        self._booking = booking
        self._shelf = shelf
        self._relay = relay
        self._findings = findings
        self._clock = clock
        self._chance = chance
        self._patience = patience
        self._role = role
        self._stopping = anyio.Event()
        self.pulse: Pulse | None = None

    def stop(self) -> None:
        """Let the gateway finish what is open; ``run`` then returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep a gateway until ``stop``; returns when all it did is booked."""
        streak = 0
        while not self._stopping.is_set():
            await self._booking.leftovers()
            began = self._clock.now()
            try:
                async with self._launch() as process:
                    self._board.put_pid(self._role, process.pid)
                    why = await self._one_life(process)
            except LittoralError as error:
                why = error.message
            finally:
                self._board.put_pid(self._role, None)
            if self._stopping.is_set():
                break
            self._board.say(self._role, "gateway_ended", f"the gateway ended: {why}", level="error")
            if why != KILLED:
                self._board.gateway_died()
            streak = 0 if self._clock.now() - began >= STEADY else streak + 1
            longest = min(RESTART_CAP, self._patience.longest_s)
            wait = delay(streak, first_s=0.1, cap_s=longest, chance=self._chance)
            with anyio.move_on_after(wait if streak > 1 else 0):
                await self._stopping.wait()
        await self._booking.leftovers()

    async def _one_life(self, process: GatewayProcess) -> str:
        """Serve one gateway until it ends; returns why."""
        ends: list[str] = []
        self.pulse = None
        link = Link(self._shelf, process.channel)

        async def listen(process: GatewayProcess) -> str:
            return await self._listen(process, link)

        async with anyio.create_task_group() as group:

            async def until(ending: Callable[[GatewayProcess], Awaitable[str]]) -> None:
                ends.append(await ending(process))
                group.cancel_scope.cancel()

            for ending in (_ended, listen, self._tell, self._silence, self._drained):
                group.start_soon(until, ending)
            group.start_soon(self._book, process.channel)
            group.start_soon(link.run)
            group.start_soon(self._call, process.channel)
        return ends[0]

    async def _listen(self, process: GatewayProcess, link: Link) -> str:
        try:
            while True:
                frame = await process.channel.receive()
                if isinstance(frame, Settled):
                    self._booking.settled(frame.slots)
                elif isinstance(frame, Pulse):
                    self.pulse = frame
                    self._board.put_served(self._role, frame.serves)
                    self._board.fences.met(self._role, frame.fence)
                elif isinstance(frame, Said):
                    self._board.say(self._role, frame.code, frame.message, level=frame.level)
                elif isinstance(frame, Judged | Voted):
                    self._findings.take(frame)
                elif not self._relay.take(self._role, frame):
                    link.take(frame)
        except ChannelClosed as error:
            with anyio.move_on_after(TICK):
                return await process.wait()
            return f"it closed its channel: {error}"

    async def _tell(self, process: GatewayProcess) -> str:
        """Send what changed since it was last sent; an unchanged frame is the same object."""
        told: dict[type[Frame], Frame] = {}
        try:
            while True:
                for frame in self._board.frames():
                    if told.get(type(frame)) is not frame:
                        await process.channel.send(frame)
                        told[type(frame)] = frame
                if all(told.get(type(frame)) is frame for frame in self._board.frames()):
                    await self._board.changed.wait()
        except ChannelClosed:
            return await process.wait()

    async def _book(self, channel: Channel) -> None:
        async def freed(slots: tuple[int, ...]) -> None:
            await channel.send(Freed(slots=slots))

        try:
            await self._booking.run(freed)
        except ChannelClosed:
            return  # the gateway is gone, and whoever watches it says why

    async def _call(self, channel: Channel) -> None:
        try:
            await self._relay.serve(self._role, channel, first=2)
        except ChannelClosed:
            return  # the gateway is gone, and whoever watches it says why

    async def _silence(self, process: GatewayProcess) -> str:
        seen, silent = self.pulse, 0
        while silent < (self._most_silence() if seen else FIRST_TICKS):
            await anyio.sleep(TICK * self._patience.pace)
            silent = silent + 1 if self.pulse is seen else 0
            seen = self.pulse
        silence = silent * TICK * self._patience.pace
        return f"process {process.pid} gave no pulse for {silence:.1f} s"

    def _most_silence(self) -> int:
        return BLAMELESS_TICKS if self._booking.blocked() else SILENT_TICKS

    async def _drained(self, process: GatewayProcess) -> str:
        await self._stopping.wait()
        process.stop()
        await anyio.sleep(self._patience.drain_s + CUT)
        return "it did not finish in time"


async def _ended(process: GatewayProcess) -> str:
    return await process.wait()
