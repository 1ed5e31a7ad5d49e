"""Fetching: how artefacts come to a node."""

from collections.abc import Callable
from dataclasses import dataclass

from littoral.domain.delivery import BlobParts, Downloads
from littoral.domain.units import Micros
from littoral.node.artefact import Rebuild


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """How artefacts come to a node; ``local`` is the minute of the day at the site."""

    parts: BlobParts
    downloads: Downloads
    rebuild: Rebuild
    local: Callable[[Micros], int]
