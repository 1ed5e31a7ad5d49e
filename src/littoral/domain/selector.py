"""Selector: which nodes a deployment is for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from littoral.domain.enrolment import SITE, Tier

CLASS: Final = "class"
"""The label that names a node's class of device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """What a node must have; what is not given does not matter, so ``{}`` is every node.

    ``device_class`` is the value of the node's label ``class``.
    """

    site: str | None = None
    tier: Tier | None = None
    device_class: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a node stands: what selectors look at."""

    site: str = SITE
    tier: Tier = "cloud"
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


USUAL: Final = Where(tier="cloud")
"""Where a deployment goes that does not say: the edge gets only what is meant for it."""


def selects(where: Where | None, position: Position) -> bool:
    """Whether a deployment is for a node that stands there.

    Checked by: tests/unit/domain/test_selector.py.
    """
    wanted = USUAL if where is None else where
    labels = dict(wanted.labels)
    if wanted.device_class is not None:
        labels[CLASS] = wanted.device_class
    return (
        wanted.site in {None, position.site}
        and wanted.tier in {None, position.tier}
        and all(position.labels.get(name) == value for name, value in labels.items())
    )


def shown(where: Where | None) -> str:
    """A selector in words, for messages."""
    wanted = USUAL if where is None else where
    words = (
        ("site", wanted.site),
        ("tier", wanted.tier),
        (CLASS, wanted.device_class),
        *sorted(wanted.labels.items()),
    )
    return ", ".join(f"{name} {value}" for name, value in words if value is not None) or "any node"
