"""Enrolment: how a machine becomes a node of a cluster, and what it keeps of that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from littoral.domain.ids import NodeId
from littoral.domain.units import Bytes, Micros

Tier: TypeAlias = Literal["edge", "cloud"]
SITE = "default"
"""The site of a machine for which no other was named."""
FOLDER = "identity"
KEY, CHAIN, AUTHORITIES = f"{FOLDER}/key.pem", f"{FOLDER}/chain.pem", f"{FOLDER}/ca.pem"
CARD = f"{FOLDER}/identity.json"
NEXT_KEY, PENDING = f"{FOLDER}/key.next.pem", f"{FOLDER}/pending.json"
"""Where a joined node keeps who it is, inside its data folder."""
REVOKED = f"{FOLDER}/revoked"
"""Written when control said that this node is one no longer: why."""
DIARY = "events.json"
"""The last events of a node, for people on its machine."""
STANDING = "run/standing.json"
"""How a node stands with control, for people on its machine."""


def node_host(node: NodeId, cluster: str) -> str:
    """The name that a node's certificate carries, and that whoever dials it checks."""
    return f"{node}.nodes.{cluster}.internal"


def control_host(cluster: str) -> str:
    """The name that control's certificates carry, whatever address it is dialled at."""
    return f"control.{cluster}.internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A device that may speed up inference, as the kernel shows it. ``memory`` 0: unknown."""

    kind: str
    name: str
    memory: Bytes = Bytes(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What a machine is: read there, advisory here.

    ``engines`` are the kinds whose libraries are installed; ``disk`` is what its data folder's
    file system holds in all.
    """

    host: str = ""
    arch: str = ""
    system: str = ""
    cpu: str = ""
    cores: int = 0
    memory: Bytes = Bytes(0)
    disk: Bytes = Bytes(0)
    accelerators: tuple[Accelerator, ...] = ()
    engines: tuple[str, ...] = ()
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What a join token is asked for: which site, labels and tier the machine gets."""

    site: str = SITE
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    tier: Tier = "edge"
    minutes: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A join token, shown this once, and where to use it until when."""

    token: str
    url: str
    until_us: Micros
    invitation: Invitation


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorities:
    """The root certificates of a cluster, PEM: public, trusted only where their pin is known."""

    ca: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """Where control is said to be, and whom to trust to be it.

    ``roots`` are PEM; the server must carry the name of ``cluster``, whatever its address.
    """

    url: str
    roots: str
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """A machine asks to become a node.

    ``former`` is the chain of the node that it was before, where it was one, and ``proof`` the
    signature (hexadecimal) of that key: only so does it take the place of the other.
    """

    token: str
    csr: str
    name: str
    facts: Inventory = field(default_factory=Inventory)
    former: str = ""
    proof: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinAnswer:
    """Who the machine is now, its certificate chain, whom it trusts and where it dials."""

    node: NodeId
    name: str
    site: str
    cluster: str
    chain: str
    ca: str
    session_url: str
    public_urls: tuple[str, ...]
    server_us: Micros
    snapshot_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """Bytes (hexadecimal) to sign with a node's key: good once, for a minute."""

    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewRequest:
    """A node whose certificate has run out proves that it has its key, and asks for a new one.

    ``signature`` is hexadecimal, by the key of ``chain``'s first certificate.
    """

    chain: str
    csr: str
    nonce: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """Who a joined node is, as ``identity.json`` keeps it. ``key_us``: when its key was made."""

    node: NodeId
    name: str
    site: str
    cluster: str
    session_url: str
    public_urls: tuple[str, ...]
    snapshot_keys: tuple[str, ...] = ()
    key_us: Micros = Micros(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A join under way: the same token, tried again, is the same request."""

    url: str
    request: JoinRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a socket listens: an IP address and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where control listens for machines elsewhere, and what they are told to dial.

    ``public`` serves joining, late renewal and downloads, ``session`` the sessions of nodes; None
    where it is closed. ``names`` are the hosts that people call, for the certificate.
    """

    public: Place | None = None
    session: Place | None = None
    public_url: str = ""
    session_url: str = ""
    names: tuple[str, ...] = ()


CLOSED = Doors()
"""Nobody joins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootView:
    """A root certificate of the cluster, as people see it.

    ``announced``: nodes learn to trust it; ``signs``; ``trusted``: it signed until another did.
    """

    pin: str
    state: Literal["announced", "signs", "trusted"]
    from_us: Micros
    until_us: Micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A new root is wished, known to all nodes for so many days before it signs."""

    overlap_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a node stands with control: ``trouble`` are sentences, ``until_us`` its certificate's."""

    connected: bool
    trouble: tuple[str, ...]
    since_us: Micros
    until_us: Micros | None = None
