"""Site: a place where machines stand together, and what is agreed for all of them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Replace: TypeAlias = Literal["never", "always"]
Reconcile: TypeAlias = Literal["keep_edge", "keep_new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """What becomes of a node that is not heard of.

    After ``lost_after_s`` it counts as lost; 0: never. What ran there is placed elsewhere where
    ``replace`` is ``always``; when it returns, ``reconcile`` says which of both goes on.
    """

    lost_after_s: int = 0
    replace: Replace = "never"
    reconcile: Reconcile = "keep_edge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth:
    """When downloads may run and how fast.

    ``kbit_s`` 0: without a cap; ``from_hour`` and ``to_hour`` are local hours, equal: all day.
    """

    kbit_s: int = 0
    from_hour: int = 0
    to_hour: int = 0


DISCONNECT = Disconnect()
BANDWIDTH = Bandwidth()


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSpec:
    """A site's policy.

    For ``offline_days`` after its certificate ended a node may still prove who it is and go on;
    for ``snapshot_hours`` it serves by what it last heard. On a ``metered`` link signs of life are
    few. ``canary`` is the share of its nodes that try a new version first.
    """

    title: str = ""
    offline_days: int = 30
    snapshot_hours: int = 72
    metered: bool = False
    canary: float = 0.1
    bandwidth: Bandwidth = BANDWIDTH
    disconnect: Disconnect = DISCONNECT
