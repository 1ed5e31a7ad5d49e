"""Update: from an order to run another release to a version that proved itself, or was left again.

Everything on the way is on disk before it counts, so a power cut at any place is only a delay.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import anyio
import msgspec

from littoral.domain.errors import InvalidInput, LittoralError, StorageFull, UpstreamFailed
from littoral.domain.ids import Digest, NodeId
from littoral.domain.node import Level
from littoral.domain.ports import Clock, Disk
from littoral.domain.release import (
    ENDED,
    FAILED,
    WITHIN_S,
    Failure,
    Order,
    Release,
    Trial,
    UpdateOrder,
    UpdatePhase,
    UpdateReport,
    Versions,
    may_follow,
    needed,
)
from littoral.domain.session import Frame
from littoral.domain.units import Seconds
from littoral.node.board import Board
from littoral.node.signal import Signal
from littoral.trust.release import accept

KEPT: Final = "versions/order.json"
LOOK: Final = Seconds(1.0)
AGAIN: Final = Seconds(30.0)
"""When what could not be fetched is tried again."""
ALONE_SHARE: Final = 0.4
"""Of the time that a new version has: for so long it must have tried to reach control."""
ASKED: Final = "someone at this machine asked for it"
REFUSED: Final = "control said"
"""How the reason begins where control answered, and turned us away."""
Locate = Callable[[Digest, Callable[[str], None]], Awaitable[str | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateParts:
    """What updates need.

    ``keys`` are the public keys that may sign orders; ``locate`` brings wheels here; ``serving``
    says whether every gateway answers.
    """

    node: NodeId
    versions: Versions
    disk: Disk
    clock: Clock
    board: Board
    keys: Callable[[], Mapping[str, bytes]]
    locate: Locate
    serving: Callable[[], bool]


class Updates:
    """Obeys orders, one at a time, the newest first.

    Args:
        parts: The world.
    """

    def __init__(self, parts: UpdateParts) -> None:
        self._parts = parts
        self._installer = parts.versions.installer
        self._order: Order | None = None
        self._came = Signal()
        self._proved = anyio.Event()
        self._leaving = anyio.Event()
        self._report = self._kept()
        self._told: UpdateReport | None = None

    @property
    def wheels(self) -> frozenset[Digest]:
        """Wheels of the release that was ordered last: they stay on disk."""
        order = self._order
        return frozenset(each.digest for each in order.release.wheels) if order else frozenset()

    def take(self, frame: Frame) -> bool:
        """Take a frame of control's; False where it is no order."""
        if not isinstance(frame, UpdateOrder):
            return False
        try:
            order = accept(frame.token, node=self._parts.node, keys=self._parts.keys())
        except LittoralError as error:
            self._say("update_refused", error.message, level="error")
            return True
        known = self._report.number if self._report else 0
        if order.number < known:
            text = f"order {order.number} came after {known}: it is not obeyed"
            self._say("update_refused", text, level="error")
        elif order.number > known or (self._report and self._report.phase not in ENDED):
            self._order = order
            self._came.notify()
        else:
            self._told = None  # control asks for what it may have forgotten
            self._order = order
        return True

    async def back(self) -> str:
        """Leave the running version for the one before it, with control or without.

        Nothing is fetched. Going back twice is going forward again.

        Returns:
            The version that takes over in a moment, on trial like any other.

        Raises:
            InvalidInput: There is no other version here.
            LittoralError: It cannot read what this node keeps; the message is its own.
        """
        installer, report = self._installer, self._report
        trial = installer.trial()
        version = installer.previous() if trial is None else trial.previous
        if version in {"", installer.running} or not installer.has(version):
            raise InvalidInput(f"no version of Littoral is here beside {installer.running}")
        await installer.check(version)
        self._order = None  # what is being followed is not switched to any more
        if report is not None and report.version == installer.running:
            self._put(replace(report, phase="rolled_back", why=ASKED))
        try:
            installer.switch(version, within_s=WITHIN_S)
        except LittoralError:
            if report is not None:
                self._put(report)
            raise
        text = f"{installer.running} is left for {version}: {ASKED}"
        self._say("update_undone", text, level="warning")
        self._leaving.set()
        return version

    async def run(
        self,
        send: Callable[[Frame], Awaitable[bool]],
        standing: Callable[[], tuple[bool, str]],
    ) -> None:
        """Obey, prove and report, until cancelled.

        Args:
            send: Sends control a frame; False where it could not.
            standing: Whether control is connected, and why not.
        """
        left = self._look_back()
        if left is not None:
            await self._installer.remove(left.version)
        async with anyio.create_task_group() as group:
            group.start_soon(self._obey)
            group.start_soon(self._tell, send)
            group.start_soon(self._leave)
            trial = self._installer.trial()
            if trial is not None:
                await self._prove(trial, standing)
            self._proved.set()

    def _look_back(self) -> Failure | None:
        """What became of the last switch, seen from the start after it; the version that failed."""
        report, failure = self._report, self._installer.failure()
        if failure is not None:
            text = f"{failure.version} is left for {self._installer.running}: {failure.why}"
            self._say("update_rolled_back", text, level="error")
            if report is not None and report.phase not in ENDED:
                self._put(replace(report, phase="rolled_back", why=failure.why))
            self._installer.forget()
        report = self._report
        is_here = report is not None and report.version == self._installer.running
        if report is not None and (
            report.phase == "switching" or (report.phase in FAILED and is_here)
        ):
            if not is_here:
                self._put(replace(report, phase="refused", why="it was not switched to"))
            elif self._installer.trial() is not None:
                self._put(replace(report, phase="trial", why=""))
            else:
                self._put(replace(report, phase="healthy", why=""))
        return failure

    async def _prove(self, trial: Trial, standing: Callable[[], tuple[bool, str]]) -> None:
        """Confirm this version once it serves and control hears it, or cannot be reached at all."""
        clock, began = self._parts.clock, self._parts.clock.now()
        alone = min(60.0, ALONE_SHARE * trial.within_s)
        while True:
            connected, why = standing()
            tried = clock.now() - began >= alone and not why.startswith(REFUSED)
            if self._parts.serving() and (connected or tried):
                break
            await anyio.sleep(LOOK)
        self._installer.confirm()
        took, how = clock.now() - began, "connected" if connected else "serving without control"
        text = f"{trial.version} proved itself after {took:.0f} s ({how}); {trial.previous} stays"
        self._say("update_healthy", text)
        if self._report is not None and self._report.phase not in ENDED:
            self._put(replace(self._report, phase="healthy", why=how))
        for gone in await self._installer.prune({trial.version, trial.previous}):
            self._say("version_removed", f"version {gone} was removed")

    async def _obey(self) -> None:
        """Follow orders, once this version itself is not on trial any more."""
        await self._proved.wait()
        while True:
            order = self._order
            if order is not None and not self._is_done(order):
                try:
                    await self._follow(order)
                except (UpstreamFailed, StorageFull) as error:
                    self._tell_of(order, "fetching", error.message)
                    await self._came.wait(at_most_s=AGAIN)
                    continue
                except LittoralError as error:
                    self._tell_of(order, "refused", error.message)
                    text = f"{order.release.version} is not taken: {error.message}"
                    self._say("update_refused", text, level="error")
            if self._order == order:  # else another one came meanwhile
                await self._came.wait()

    def _is_done(self, order: Order) -> bool:
        report = self._report
        return report is not None and report.number == order.number and report.phase in ENDED

    async def _follow(self, order: Order) -> None:
        release, installer = order.release, self._installer
        version = release.version
        if version == installer.running:
            self._tell_of(order, "healthy", "it ran already")
            return
        if not may_follow(installer.running, release):
            self._tell_of(order, "refused", f"it requires {release.requires} or later to run here")
            return
        missing = await self._missing(version)
        if missing is not None:
            self._tell_of(order, "fetching", missing)
            wheels = await self._fetched(release)
            self._tell_of(order, "installing")
            await self._install(version, wheels)
        if self._order != order:
            return  # a newer one came meanwhile
        self._tell_of(order, "switching")
        installer.switch(version, within_s=order.within_s)
        self._say("update_switched", f"{installer.running} hands over to {version}")
        self._parts.versions.leave()

    async def _missing(self, version: str) -> str | None:
        """Why a version is to be made, None where it is here; it stays until it is made anew."""
        if not self._installer.has(version):
            return ""
        try:
            await self._installer.check(version)
        except LittoralError as error:
            return f"it is here, and to be made anew: {error.message}"
        return None

    async def _install(self, version: str, wheels: Mapping[str, str]) -> None:
        """Make a version; one that fails its check does not stay."""
        await self._installer.install(version, wheels)
        try:
            await self._installer.check(version)
        except LittoralError:
            await self._installer.remove(version)
            raise

    async def _leave(self) -> None:
        """End this process for the version before it, once whoever asked had the answer."""
        await self._leaving.wait()
        await anyio.sleep(LOOK)
        self._parts.versions.leave()

    async def _fetched(self, release: Release) -> Mapping[str, str]:
        installer, found = self._installer, dict[str, str]()
        for wheel in needed(release, installer.host(), installer.installed()):
            path = await self._parts.locate(wheel.digest, lambda _text: None)
            if path is None:
                raise UpstreamFailed(f"{wheel.name} cannot be had")
            found[wheel.name] = path
        return found

    async def _tell(self, send: Callable[[Frame], Awaitable[bool]]) -> None:
        """Tell control of each change, until it has heard of it."""
        while True:
            report = self._report
            if report is not None and report != self._told and await send(report):
                self._told = report
            await anyio.sleep(LOOK)

    def _tell_of(self, order: Order, phase: UpdatePhase, why: str = "") -> None:
        version = order.release.version
        self._put(UpdateReport(number=order.number, version=version, phase=phase, why=why))

    def _put(self, report: UpdateReport) -> None:
        self._report = report
        with suppress(StorageFull):  # control gives the order again, and it is begun again
            self._parts.disk.write(KEPT, msgspec.json.encode(report))

    def _kept(self) -> UpdateReport | None:
        kept = self._parts.disk.read(KEPT)
        try:
            return None if kept is None else msgspec.json.decode(kept, type=UpdateReport)
        except msgspec.DecodeError:
            return None

    def _say(self, code: str, text: str, *, level: Level = "info") -> None:
        self._parts.board.say("update", code, text, level=level)
