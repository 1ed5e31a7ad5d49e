"""What the four functions of edge and cloud take and give: tasks, loads, links, prices, estimates.

Money is a float in the platform's one currency. A month is 730 hours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from littoral.domain.units import Seconds, Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request by its sizes (C). ``bytes_token`` is what one token takes on the wire, bytes.

    ``out_p50`` and ``out_p90`` are quantiles of the answer's length, tokens, at least 1 each.
    """

    tokens_in: Tokens
    tokens_cached: Tokens = Tokens(0)
    out_p50: Tokens = Tokens(128)
    out_p90: Tokens = Tokens(256)
    bytes_up: float = 0.0
    bytes_down: float = 0.0
    bytes_token: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a node has before it when a task comes.

    ``active`` sequences are in slots, ``unread`` input tokens of theirs are not read yet;
    ``remaining`` are their works left and ``queued`` those of the tasks that wait, each in seconds
    alone on the node, ``queued`` in order. No list is needed while a slot is free.
    """

    active: int = 0
    unread: Tokens = Tokens(0)
    remaining: tuple[float, ...] = ()
    queued: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The way to a node (B): round trip, goodputs in bytes per second, trips before the answer.

    ``usable`` is the probability that link and node answer.
    """

    rtt_s: Seconds = Seconds(0.0)
    up_bps: float = float("inf")
    down_bps: float = float("inf")
    trips: int = 1
    usable: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A model on a node: seconds a request, an input token, an output token, and their company.

    ``ahead_s`` is seconds per input token that sequences in service have not read; ``pen`` what
    each further sequence adds to a step, as a share of it; ``width`` the log half-width from p50
    to p90 of the speed; ``slots`` 0 means a service without a queue of ours.
    """

    fixed_s: Seconds = Seconds(0.0)
    prefill_s: Seconds
    ahead_s: Seconds = Seconds(0.0)
    step_s: Seconds
    pen: float = 0.0
    slots: int = 1
    width: float = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The cost of one engine step: ``b0 + b1*p + b2*n + b3*K + b4*A``, seconds.

    p input tokens are read in it, n sequences write, K tokens are held, A is the attention over
    the inputs' own context. ``chunk`` bounds p.
    """

    b0: float
    b1: float
    b2: float = 0.0
    b3: float = 0.0
    b4: float = 0.0
    chunk: Tokens = Tokens(512)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePrice:
    """A machine that is owned: watts, price of a kWh, what it cost and for how long, upkeep."""

    idle_w: float = 0.0
    active_w: float = 0.0
    kwh: float = 0.0
    capex: float = 0.0
    life_s: float = 3.0 * 365.0 * 86400.0
    month: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPrice:
    """A machine that is rented by the hour; ``egress`` per byte sent to the caller.

    Where the pool grows with its load, a request causes its share of ``hour`` at ``use_target``.
    """

    hour: float
    egress: float = 0.0
    autoscales: bool = False
    use_target: float = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """An API that is paid by the token; ``cached`` and ``written`` for its prompt cache."""

    token_in: float
    token_out: float
    cached: float = 0.0
    written: float = 0.0
    request: float = 0.0
    byte: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one task is expected to take and to cost at one place.

    ``marginal`` is what would not be spent without it, ``full`` its share of everything;
    ``terms`` are the parts of the median, seconds.
    """

    first_p50_s: Seconds
    first_p90_s: Seconds
    total_p50_s: Seconds
    total_p90_s: Seconds
    busy_s: Seconds
    marginal: float
    full: float
    watt_hours: float = 0.0
    terms: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """A stream of tasks (T): rate per second, mean sizes, and how uneven it is.

    ``ca2`` and ``cs2`` are squared coefficients of variation of the time between arrivals and of
    the time in service.
    """

    rate: float
    tokens_in: float
    tokens_cached: float = 0.0
    tokens_out: float
    ca2: float = 1.0
    cs2: float = 1.0
    bytes_down: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A share ``target`` of all tasks is to end within ``total_s``."""

    total_s: Seconds
    target: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeNode:
    """One of N devices: its model, how often it is there, and what it costs."""

    calibration: Calibration
    price: NodePrice = field(default_factory=NodePrice)
    usable: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Up to ``most`` (M) replicas that can be rented, and what else a month costs."""

    calibration: Calibration
    price: ReplicaPrice
    most: int
    month: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a platform carries at an objective, and what it costs a month.

    ``rate`` is the mean over who is there, ``guaranteed`` holds with the assurance asked for, both
    tasks a second; ``size`` counts nodes or replicas. Where ``feasible`` is false, the load is
    ``factor`` times what the largest platform carries.
    """

    rate: float
    guaranteed: float
    size: int
    month: float
    feasible: bool = True
    factor: float = 0.0
