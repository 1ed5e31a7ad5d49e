"""Start: what ended the life before this one, as far as a node can tell by itself."""

from contextlib import suppress
from dataclasses import dataclass, replace

import msgspec

from littoral.domain.ailment import Remark
from littoral.domain.errors import StorageFull
from littoral.domain.ports import Disk

PATH = "life.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a life of the node is part of.

    ``machine`` is that boot of the machine, ``supervisor`` that run of the supervisor; ``orderly``
    is whether it ended because it was told to.
    """

    machine: str = ""
    supervisor: str = ""
    orderly: bool = False


UNKNOWN = Origin()
"""Of a life of which nothing is known."""


class Start:
    """Writes down that a life began and how it ended.

    Args:
        disk: Where.
        origin: What this life is part of.
    """

    def __init__(self, disk: Disk, origin: Origin) -> None:
        self._disk = disk
        self._origin = origin

    def begin(self) -> Remark:
        """A life begins: say what ended the last one."""
        before = self._before()
        self._write(self._origin)
        return told(before, self._origin)

    def end(self) -> None:
        """It ends because it was told to."""
        self._write(replace(self._origin, orderly=True))

    def _before(self) -> Origin | None:
        kept = self._disk.read(PATH)
        with suppress(msgspec.DecodeError):
            return None if kept is None else msgspec.json.decode(kept, type=Origin)
        return None

    def _write(self, origin: Origin) -> None:
        with suppress(StorageFull):
            self._disk.write(PATH, msgspec.json.encode(origin))


def told(before: Origin | None, now: Origin) -> Remark:
    """What to tell of a start."""
    if before is None:
        return _remark("node_started", "the node started for the first time here")
    if before.orderly:
        return _remark("node_started", "the node started after an orderly stop")
    if before.machine != now.machine:
        text = "the machine started anew, or lost power, while the node was running"
        return _remark("machine_restarted", text, bad=True)
    if before.supervisor != now.supervisor:
        text = "Littoral ended without an orderly stop, and was started again"
        return _remark("supervisor_restarted", text, bad=True)
    return _remark("node_restarted", "the node ended by itself and was started again", bad=True)


def _remark(code: str, text: str, *, bad: bool = False) -> Remark:
    return Remark(subject="node", code=code, message=text, level="warning" if bad else "info")
