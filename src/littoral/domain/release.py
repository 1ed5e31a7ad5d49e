"""Release: a version of Littoral as wheels; Order: which release a node shall run, as control says.

Versions run side by side on a node's disk; an order is obeyed once, and undone where the new
version does not prove itself.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from littoral.domain.errors import InvalidInput
from littoral.domain.ids import Digest, NodeId
from littoral.domain.units import Bytes, Micros, Seconds

OURS: Final = "littoral"
"""The distribution that makes a set of wheels a release."""
WITHIN_S: Final = Seconds(180.0)
"""How long a new version has to prove itself, unless an order says otherwise."""
MOST_WHEELS: Final = 200
VERSION: Final = re.compile(r"[0-9](?:[.+-]?[a-z0-9])*")
WHEEL: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)(?:-[0-9][A-Za-z0-9_.]*)?"
    r"-(?P<python>[a-z0-9_.]+)-(?P<abi>[a-z0-9_.]+)-(?P<platform>[A-Za-z0-9_.]+)\.whl"
)
UpdatePhase: TypeAlias = Literal[
    "fetching", "installing", "switching", "trial", "healthy", "refused", "rolled_back"
]
UpdateState: TypeAlias = Literal["running", "paused", "undone", "done"]
UpdateAct: TypeAlias = Literal["pause", "resume", "undo"]
FAILED: Final[frozenset[UpdatePhase]] = frozenset({"refused", "rolled_back"})
ENDED: Final[frozenset[UpdatePhase]] = frozenset({"refused", "rolled_back", "healthy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelFile:
    """One wheel of a release: its file name says for which machines it is."""

    name: str
    digest: Digest
    size: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of Littoral, and wheels for every kind of machine that shall run it.

    ``requires`` is the oldest version that still reads the data of this one: only from there on a
    node may be taken to it, for it must be able to go back.
    """

    version: str
    wheels: tuple[WheelFile, ...] = ()
    requires: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which release one node shall run; of two, the one with the higher number counts."""

    node: NodeId
    number: int
    release: Release
    within_s: Seconds = WITHIN_S


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOrder:
    """Control to node: an order, signed."""

    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """Node to control: how far the order of this number is; ``why`` says it in words."""

    number: int
    version: str
    phase: UpdatePhase
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What decides which wheels fit: Python's version, and the machine."""

    python: tuple[int, int]
    system: Literal["linux", "macosx"]
    machine: str
    musl: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A version that was switched to and has not proved itself yet; ``previous`` came before it."""

    version: str
    previous: str
    within_s: float = WITHIN_S
    starts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A version that was left again, and why."""

    version: str
    why: str


class Installer(Protocol):
    """The versions of Littoral on a node's disk; what takes its time may be awaited."""

    @property
    def running(self) -> str:
        """The version of this very process."""
        ...

    def host(self) -> Host:
        """What wheels must fit."""
        ...

    def installed(self) -> Mapping[str, str]:
        """Version of each distribution that the running version uses, by its normal name."""
        ...

    def has(self, version: str) -> bool:
        """Whether a version is here, whole."""
        ...

    async def install(self, version: str, wheels: Mapping[str, str]) -> None:
        """Make an environment of a version from wheels (path by file name) and what runs now.

        Raises:
            LittoralError: It cannot be made; nothing of it stays.
        """
        ...

    async def check(self, version: str) -> None:
        """Have a version say its name and read this node's data, and change nothing.

        Raises:
            LittoralError: It does not; the message is its own.
        """
        ...

    def switch(self, version: str, *, within_s: float) -> None:
        """Let the next start be that of another version, on trial. Raises ``LittoralError``."""
        ...

    def trial(self) -> Trial | None:
        """The trial that the running version is on; None where it proved itself."""
        ...

    def confirm(self) -> None:
        """The running version has proved itself."""
        ...

    def previous(self) -> str:
        """The version that ran before the running one proved itself; empty where none did."""
        ...

    def failure(self) -> Failure | None:
        """The last version that was left again; None where none was."""
        ...

    def forget(self) -> None:
        """The failure was told."""
        ...

    async def remove(self, version: str) -> None:
        """Remove a version that does not run; nothing where it is not here."""
        ...

    async def prune(self, keep: Iterable[str]) -> Sequence[str]:
        """Remove versions that are not named, nor run; returns which."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """How a node comes to another version: ``leave`` ends this process for the next one."""

    installer: Installer
    leave: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A release on its way to nodes.

    ``number`` is that of the orders of now; ``canary`` the share of nodes that get it first;
    ``sites`` bounds it to these, empty: all. ``before`` is what each node ran when it was ordered.
    ``minutes`` the first nodes must have been healthy for before the others follow.
    """

    version: str
    number: int
    canary: float
    sites: tuple[str, ...] = ()
    minutes: float = 10.0
    within_s: Seconds = WITHIN_S
    state: UpdateState = "running"
    everyone: bool = False
    since_us: Micros = Micros(0)
    before: Mapping[NodeId, str] = field(default_factory=dict[NodeId, str])
    why: str = ""


def checked_version(version: str) -> str:
    """Return the version, or refuse what is none.

    Raises:
        InvalidInput: It is no version such as 0.2.0.

    Checked by: tests/unit/domain/test_release.py.
    """
    if len(version) > 64 or VERSION.fullmatch(version) is None:
        raise InvalidInput(f"{version!r:.80} is no version such as 0.2.0", param="version")
    return version


def order_of(version: str) -> tuple[tuple[int, ...], bool]:
    """A key that sorts versions: by their numbers, one with letters behind before the plain one.

    Checked by: tests/unit/domain/test_release.py.
    """
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(each) for each in found[0].split(".")] if found else [0]
    while numbers and not numbers[-1]:
        numbers.pop()
    rest = version[found.end() :] if found else version
    return tuple(numbers), not rest or rest.startswith(("+", ".post"))


def name_of(wheel: str) -> tuple[str, str]:
    """The distribution of a wheel, its name in the normal form, and its version.

    Raises:
        InvalidInput: The file name is not that of a wheel.

    Checked by: tests/unit/domain/test_release.py.
    """
    found = WHEEL.fullmatch(wheel)
    if found is None or len(wheel) > 200:
        raise InvalidInput(
            f"{wheel!r:.80} is not the name of a wheel, such as littoral-0.2.0-py3-none-any.whl",
            param="name",
        )
    return normal(found["name"]), found["version"]


def normal(name: str) -> str:
    """The normal form of a distribution's name: lower case, runs of ``-_.`` are one dash."""
    return re.sub(r"[-_.]+", "-", name).lower()


def fits(wheel: str, host: Host) -> bool:
    """Whether a wheel is meant for this machine, by its name.

    Source: PEP 427, PEP 600, PEP 656; the package client decides in the end.
    Checked by: tests/unit/domain/test_release.py.
    """
    found = WHEEL.fullmatch(wheel)
    if found is None:
        return False
    abis = found["abi"].split(".")
    pythons = any(_speaks(tag, host, "abi3" in abis) for tag in found["python"].split("."))
    own = f"cp{host.python[0]}{host.python[1]}"
    is_built = any(abi in {"none", "abi3", own} for abi in abis)
    return pythons and is_built and any(_runs(tag, host) for tag in found["platform"].split("."))


def _speaks(tag: str, host: Host, stable: bool) -> bool:  # noqa: FBT001  private, called once
    major, minor = host.python
    if tag in {f"py{major}", f"py{major}{minor}", f"cp{major}{minor}"}:
        return True
    found = re.fullmatch(rf"cp{major}([0-9]+)", tag)
    return stable and found is not None and int(found[1]) <= minor


def _runs(tag: str, host: Host) -> bool:
    if tag == "any":
        return True
    libraries = ("musllinux_",) if host.musl else ("manylinux", "linux_")
    kinds = ("macosx_",) if host.system == "macosx" else libraries
    machines = (host.machine, "universal2") if host.system == "macosx" else (host.machine,)
    return tag.startswith(kinds) and tag.endswith(tuple(f"_{each}" for each in machines))


def needed(release: Release, host: Host, installed: Mapping[str, str]) -> tuple[WheelFile, ...]:
    """The wheels of a release that fit a machine and that it does not run already.

    Raises:
        InvalidInput: Littoral itself is not among those that fit.

    Checked by: tests/unit/domain/test_release.py.
    """
    found: list[WheelFile] = []
    ours = False
    for wheel in release.wheels:
        if not fits(wheel.name, host):
            continue
        name, version = name_of(wheel.name)
        ours = ours or (name, version) == (OURS, release.version)
        if name == OURS or installed.get(name) != version:
            found.append(wheel)
    if not ours:
        kind = f"Python {host.python[0]}.{host.python[1]} on {host.system} {host.machine}"
        raise InvalidInput(f"release {release.version} has no wheel of Littoral for {kind}")
    return tuple(found)


def may_follow(running: str, release: Release) -> bool:
    """Whether a node that runs a version may be taken to a release, and back again.

    Checked by: tests/unit/domain/test_release.py.
    """
    return order_of(running) >= order_of(release.requires)
