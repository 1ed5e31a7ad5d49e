"""Site: a place where machines stand together, and what is agreed for all of them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """What becomes of a node that is not heard of: after ``lost_after_s`` it is lost; 0: never."""

    lost_after_s: int = 0


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
    few.
    """

    title: str = ""
    offline_days: int = 30
    snapshot_hours: int = 72
    metered: bool = False
    bandwidth: Bandwidth = BANDWIDTH
    disconnect: Disconnect = DISCONNECT
