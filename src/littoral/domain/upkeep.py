"""Frames of a node's upkeep: its certificate, and what it is told to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.ids import KeyId
from littoral.domain.units import Micros

Verb: TypeAlias = Literal[
    "drain",
    "cordon",
    "restart_engine",
    "probe",
    "log_tail",
    "verify_artefacts",
    "rollback",
    "undo_update",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Control to node: these keys and certificates are good no longer."""

    number: int
    keys: tuple[KeyId, ...] = ()
    serials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Node to control: a new certificate, please; ``held`` is the serial of the one that it has."""

    csr: str
    held: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Control to node: its new certificate with the chain, and whom to trust from now on.

    An empty ``chain`` changes only whom it trusts; ``reason`` says why there is no new one.
    """

    chain: str
    ca: str
    server_us: Micros
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """Control to node: one of a closed list of things to do; ``Done`` answers with its number."""

    number: int
    verb: Verb
    args: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Node to control: what came of it; ``code`` says why not."""

    number: int
    ok: bool
    result: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkRequest:
    """What is decided of a node: ``cordoned``, ``draining``, or (empty) neither."""

    mark: Literal["", "cordoned", "draining"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """Labels to give; an empty value takes one away."""

    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrandRequest:
    """What a connected node shall do."""

    verb: Verb
    args: Mapping[str, str] = field(default_factory=dict[str, str])
