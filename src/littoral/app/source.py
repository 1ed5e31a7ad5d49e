"""Model sources by scheme, each loaded on its first use."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

from littoral.app.registry import load
from littoral.app.settings import Settings
from littoral.app.system import environment
from littoral.domain.errors import UnknownName
from littoral.domain.ports import Source
from littoral.trust.address import verdict

Make: TypeAlias = Callable[..., Source]

SOURCES: Mapping[str, str] = {
    "file": "littoral.jobs.source.file:FileSource",
    "hf": "littoral.jobs.source.hub:HubSource",
    "https": "littoral.jobs.source.https:HttpsSource",
    "modelscope": "littoral.jobs.source.hub:HubSource",
    "pypi": "littoral.jobs.source.pypi:PypiSource",
}
DIALLER: Mapping[str, str] = {"dialler": "littoral.jobs.source.dial:Dialler"}


class Sources:
    """Makes each source once.

    Args:
        settings: Where the hubs are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: dict[str, Source] = {}

    def source(self, scheme: str) -> Source:
        """The source of a scheme.

        Raises:
            UnknownName: There is none; the message lists the known ones.
        """
        if scheme not in SOURCES:
            known = ", ".join(SOURCES)
            raise UnknownName(f"no source {scheme!r}; known: {known}", param="spec.source")
        if scheme not in self._made:
            self._made[scheme] = self._make(scheme)
        return self._made[scheme]

    def _make(self, scheme: str) -> Source:
        settings = self._settings
        make = cast("Make", load(SOURCES, scheme, what="source"))
        match scheme:
            case "pypi":
                return make(environment=dict(environment()))
            case "https":
                dialler = cast("Callable[..., object]", load(DIALLER, "dialler", what="dialler"))
                return make(dialler(verdict=verdict))
            case "hf":
                return make(
                    self.source("https"),
                    endpoint=settings.hf_endpoint,
                    revision="main",
                    token_file=settings.hf_token_file,
                )
            case "modelscope":
                return make(
                    self.source("https"),
                    endpoint=f"{settings.modelscope_endpoint}/models",
                    revision="master",
                    token_file=settings.modelscope_token_file,
                )
            case _:
                return make()
