"""Sources: how each scheme of a model's source is fetched."""

import ipaddress
from collections.abc import Callable, Mapping

from littoral.app.settings import Settings
from littoral.domain.errors import InvalidInput
from littoral.domain.ports import Source
from littoral.jobs.source.dial import Dialler
from littoral.jobs.source.file import FileSource
from littoral.jobs.source.https import HttpsSource
from littoral.jobs.source.hub import HubSource
from littoral.jobs.source.pypi import PypiSource
from littoral.trust.address import verdict


def sources(
    settings: Settings, environment: Mapping[str, str]
) -> Mapping[str, Callable[[], Source]]:
    """A maker of each source, by scheme.

    Args:
        settings: Where the hubs are, and which networks are open on purpose.
        environment: Variables of the package client, which reads its own configuration.

    Raises:
        InvalidInput: ``source_networks`` holds something else than networks.
    """
    for text in settings.source_networks:
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise InvalidInput(
                f"source_networks: {text!r} is not a network such as 10.1.0.0/16",
                param="source_networks",
            ) from error
    web = HttpsSource(Dialler(verdict=verdict, allowed=settings.source_networks))
    found: dict[str, Source] = {
        "pypi": PypiSource(environment=environment),
        "file": FileSource(),
        "https": web,
        "hf": HubSource(
            web,
            endpoint=settings.hf_endpoint,
            revision="main",
            token_file=settings.hf_token_file,
        ),
        "modelscope": HubSource(
            web,
            endpoint=settings.modelscope_endpoint.rstrip("/") + "/models",
            revision="master",
            token_file=settings.modelscope_token_file,
        ),
    }
    return {scheme: lambda source=source: source for scheme, source in found.items()}
