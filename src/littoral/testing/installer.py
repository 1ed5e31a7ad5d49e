"""Versions of Littoral, in memory."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from littoral.domain.errors import LittoralError, UnknownName
from littoral.domain.release import Failure, Host, Trial


class MemoryInstaller:
    """Twin of ``Installer``: what is installed is a name. ``broken`` versions fail their check.

    Attributes:
        versions: What is here, and the wheels that it was made of.
        pruned: Versions that were removed.
    """

    def __init__(self, running: str, *, broken: Mapping[str, LittoralError] | None = None) -> None:
        self.running = running
        self.broken = dict(broken or {})
        self.versions: dict[str, Mapping[str, str]] = {running: {}}
        self.pruned: list[str] = []
        self.dependencies: dict[str, str] = {}
        self._trial: Trial | None = None
        self._previous = ""
        self._failure: Failure | None = None

    def host(self) -> Host:
        """A common machine."""
        return Host(python=(3, 11), system="linux", machine="x86_64")

    def installed(self) -> Mapping[str, str]:
        """Version of each distribution that the running version uses."""
        return self.dependencies

    def has(self, version: str) -> bool:
        """Whether a version is here, whole."""
        return version in self.versions

    async def install(self, version: str, wheels: Mapping[str, str]) -> None:
        """Make a version."""
        self.versions[version] = dict(wheels)

    async def check(self, version: str) -> None:
        """Have a version say its name."""
        if version in self.broken:
            raise self.broken[version]

    def switch(self, version: str, *, within_s: float) -> None:
        """Let the next start be that of another version, on trial."""
        if version not in self.versions:
            raise UnknownName(f"version {version} is not installed here")
        self._failure = None
        self._trial = Trial(version=version, previous=self.running, within_s=within_s)

    def start(self) -> None:
        """What the launcher does after a switch."""
        if self._trial is not None:
            self.running = self._trial.version

    def fail(self, why: str) -> None:
        """What the launcher does with a version that does not prove itself."""
        if self._trial is not None:
            self._failure = Failure(version=self._trial.version, why=why)
            self.running, self._trial = self._trial.previous, None

    def trial(self) -> Trial | None:
        """The trial that the running version is on."""
        trial = self._trial
        return replace(trial) if trial and trial.version == self.running else None

    def confirm(self) -> None:
        """The running version has proved itself."""
        trial = self.trial()
        if trial is not None:
            self._previous = trial.previous
        self._trial = None

    def previous(self) -> str:
        """The version that ran before."""
        return self._previous

    def failure(self) -> Failure | None:
        """The last version that was left again."""
        return self._failure

    def forget(self) -> None:
        """The failure was told."""
        self._failure = None

    async def remove(self, version: str) -> None:
        """Remove a version that does not run."""
        if version != self.running:
            self.versions.pop(version, None)

    async def prune(self, keep: Iterable[str]) -> Sequence[str]:
        """Remove versions that are not named, nor run."""
        gone = sorted(set(self.versions) - {*keep, self.running})
        for version in gone:
            del self.versions[version]
        self.pruned += gone
        return gone
