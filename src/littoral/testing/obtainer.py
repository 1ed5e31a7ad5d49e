"""Obtainer in memory: versions become ready when a test says so."""

from collections.abc import Sequence
from dataclasses import replace

from littoral.domain.model import Artefact, Phase, VersionSpec, VersionStatus


class MemoryObtainer:
    """Remembers what it was asked for; nothing moves by itself."""

    def __init__(self) -> None:
        self.started: list[tuple[str, VersionSpec]] = []
        self._statuses: dict[tuple[str, str], VersionStatus] = {}

    def start(self, model: str, version: VersionSpec) -> None:
        """Begin or resume; a version that is present or under way is left."""
        self.started.append((model, version))
        known = self._statuses.get((model, version.name))
        if known is None or known.phase == "failed":
            self.put(model, version.name, phase="pending")

    def cancel(self, model: str, version: str) -> None:
        """Stop it where it is under way."""
        status = self._statuses.get((model, version))
        if status is not None and status.phase != "ready":
            self._statuses[model, version] = replace(status, phase="failed", error="cancelled")

    def forget(self, model: str, version: str) -> None:
        """Drop its status."""
        self._statuses.pop((model, version), None)

    def statuses(self) -> Sequence[VersionStatus]:
        """Every version ever started, by model and version."""
        return [self._statuses[key] for key in sorted(self._statuses)]

    def put(
        self,
        model: str,
        version: str,
        *,
        phase: Phase,
        artefact: Artefact | None = None,
        error: str | None = None,
    ) -> None:
        """Set how far a version has come."""
        self._statuses[model, version] = VersionStatus(
            model=model, version=version, phase=phase, artefact=artefact, error=error
        )
