"""Errands: the closed list of things that control may have a node do. No shell, no path, no URL."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from anyio import to_thread

from littoral.domain.errors import InvalidInput, LittoralError
from littoral.domain.ids import DeploymentName
from littoral.domain.ports import Blobs
from littoral.domain.upkeep import Do, Done, Verb
from littoral.node.converge import Converger

ROLE = re.compile(r"supervisor|node|gateway(?:-[0-9]{1,2})?|[a-z0-9][a-z0-9._-]{0,70}")
MOST_LINES = 200
MOST_BYTES = 32 * 1024
ARGS: Mapping[Verb, frozenset[str]] = {
    "drain": frozenset(),
    "cordon": frozenset(),
    "restart_engine": frozenset({"deployment"}),
    "probe": frozenset(),
    "log_tail": frozenset({"role", "lines"}),
    "verify_artefacts": frozenset(),
    "rollback": frozenset({"deployment"}),
    "undo_update": frozenset(),
}
"""What each verb takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandParts:
    """What errands need.

    ``under_way`` counts requests under way here; ``tail`` gives the last lines of a process's log;
    ``probe`` measures every engine that is ready now and says how many that were; ``undo_update``
    goes back to the version of Littoral before this one, and says which.
    """

    converger: Converger
    blobs: Blobs
    under_way: Callable[[], int]
    tail: Callable[[str, int], str]
    probe: Callable[[], int]
    undo_update: Callable[[], Awaitable[str]]


class Errands:
    """Does what control asks.

    Args:
        parts: The world.
    """

    def __init__(self, parts: ErrandParts) -> None:
        self._parts = parts

    async def do(self, frame: Do) -> Done:
        """Do one thing; what goes wrong is told, not raised."""
        try:
            self._check(frame)
            result = await self._done(frame)
        except LittoralError as error:
            return Done(number=frame.number, ok=False, result=error.message, code=error.code)
        return Done(number=frame.number, ok=True, result=result)

    def _check(self, frame: Do) -> None:
        known = ARGS[frame.verb]
        strange = sorted(set(frame.args) - known)
        if strange:
            listed = ", ".join(sorted(known)) or "none"
            raise InvalidInput(f"{frame.verb} takes no {strange[0]!r}; it takes: {listed}")

    async def _done(self, frame: Do) -> str:
        match frame.verb:
            case "drain" | "cordon":
                return str(self._parts.under_way())
            case "restart_engine":
                return self._restarted(frame.args.get("deployment", ""))
            case "probe":
                return f"probing {self._parts.probe()} engines; see the node's speeds"
            case "log_tail":
                return self._tail(frame.args)
            case "rollback":
                return self._undone(frame.args.get("deployment", ""))
            case _:
                return await self._slowly(frame.verb)

    async def _slowly(self, verb: Verb) -> str:
        if verb == "undo_update":
            return f"goes back to {await self._parts.undo_update()}, on trial"
        return await to_thread.run_sync(self._verified)

    def _restarted(self, name: str) -> str:
        if not self._parts.converger.restart(DeploymentName(name)):
            known = ", ".join(self._parts.converger.names) or "none"
            raise InvalidInput(f"deployment: {name!r} does not run here; known: {known}")
        return f"{name} is being restarted"

    def _undone(self, name: str) -> str:
        self._parts.converger.undo(DeploymentName(name), why="an operator asked for it")
        return f"{name} goes back to what served before"

    def _tail(self, args: Mapping[str, str]) -> str:
        role, lines = args.get("role", "node"), args.get("lines", "50")
        if ROLE.fullmatch(role) is None:
            raise InvalidInput(f"role: {role!r} is not a process of ours")
        if not lines.isdecimal() or not 1 <= int(lines) <= MOST_LINES:
            raise InvalidInput(f"lines: {lines!r} is not 1 to {MOST_LINES}")
        text = self._parts.tail(role, int(lines))
        return text.encode("utf-8", "replace")[-MOST_BYTES:].decode("utf-8", "replace")

    def _verified(self) -> str:
        """Read every artefact, and say which are damaged."""
        blobs = self._parts.blobs
        known = blobs.list()
        damaged = [digest for digest in known if not blobs.verify(digest)]
        told = ", ".join(damaged)
        return f"{len(known)} artefacts, {len(damaged)} damaged{': ' + told if told else ''}"
