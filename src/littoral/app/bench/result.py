"""The record of a run: what was asked, what was measured, and whether it may be believed.

It is what ``--out`` writes and ``compare`` reads. Times are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from littoral.app.bench.message import Endpoint
from littoral.planner.metrics import Estimate

FORMAT: Final = 1
RANKS: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
Doubt: TypeAlias = Literal["late", "lag", "busy", "partial", "worker", "saturated", "few", "errors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run was asked to do.

    Args:
        url: The service, without a key.
        endpoint: Which of its endpoints.
        model: Which model.
        stream: Whether answers were streamed.
        arrivals: ``poisson``, ``gamma``, ``constant``, ``trace``, or ``closed`` for a closed loop.
        rate: Mean arrivals a second that were asked for; 0 in a closed loop.
        cv: Coefficient of variation of the times between arrivals, where ``gamma`` was asked for.
        clients: Of a closed loop; else 0.
        trace: Name of the trace's file; empty without one.
        speed: How much faster than recorded the trace was replayed.
        duration: Seconds during which requests are sent.
        requests: How many were scheduled; of a closed loop the most.
        seed: Same seed, same schedule, same prompts.
        workers: Processes that sent.
        tokens_in: Distribution of prompt lengths, as typed.
        tokens_out: Distribution of the most tokens of an answer, as typed.
        share: Part of each prompt that others begin with, too.
        groups: How many different beginnings there are.
        timeout: Seconds after which a request counts as failed.
        slo: Most seconds of each metric that a good request may take.
        extra: What else was put into every request.
    """

    url: str
    endpoint: Endpoint
    model: str
    stream: bool
    arrivals: str
    rate: float
    duration: float
    requests: int
    seed: int
    workers: int
    tokens_in: str
    tokens_out: str
    timeout: float
    cv: float = 1.0
    clients: int = 0
    trace: str = ""
    speed: float = 1.0
    share: float = 0.0
    groups: int = 1
    slo: dict[str, float] = field(default_factory=dict)
    extra: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The machine that measured, and what it knows of the prompts.

    Args:
        cpu: Its processor.
        cores: Those that this process may use.
        system: Kernel and Python.
        load: Its load average before the run.
        per_word: Tokens that the service counts for one word of a prompt.
        fixed: Tokens of the chat template.
        asked: Whether the service said so; else both are guesses.
    """

    cpu: str
    cores: int
    system: str
    load: float
    per_word: float
    fixed: float
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric.

    Args:
        count: Samples.
        mean: With its interval; None where samples are too few.
        percentiles: By name; None where samples are too few, or the service was saturated.
        curve: The whole distribution: pairs of rank and value, ascending.
    """

    count: int
    mean: Estimate | None
    percentiles: dict[str, Estimate | None]
    curve: list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of failure: how often, and what the first one said."""

    kind: str
    count: int
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests of the whole run, and of the window that is measured."""

    sent: int
    answered: int
    failed: int
    unfinished: int
    window: int
    window_answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What happened a second, within the window."""

    arrivals: float
    answers: float
    tokens_in: float
    tokens_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSums:
    """Tokens of answered requests in the window, as counted; ``counted`` of them by the service."""

    asked_in: int
    tokens_in: int
    tokens_out: int
    cached: int
    requests: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """Requests that met every objective: their share of all arrivals, and how many a second."""

    share: Estimate
    rate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The client's own fitness.

    Args:
        valid: Whether the figures may be believed.
        doubts: Why not, or what to bear in mind.
        delay: 99th percentile of actual send - schedule.
        allowed: What it may be.
        lag: 99th percentile of how late the client's own loop was.
        cpu: Share of a core that the busiest worker used.
    """

    valid: bool
    doubts: list[Doubt]
    delay: float
    allowed: float
    lag: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steady:
    """Whether the window is one state of the service.

    Args:
        warmup: Seconds that were left out at the beginning.
        end: Seconds after the start at which the window ends.
        slope: Seconds of latency gained a second.
        grows: Whether the queue grows: percentiles then depend on how long one runs.
    """

    warmup: float
    end: float
    slope: float
    grows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The run in equal steps of time.

    Args:
        step: Seconds of one.
        arrivals: Scheduled requests in each.
        answers: Whole answers in each.
        failures: Requests that failed, by their scheduled moment.
        flight: Requests under way at the end of each.
        tokens: Tokens of answers that ended in each.
    """

    step: float
    arrivals: Sequence[int]
    answers: Sequence[int]
    failures: Sequence[int]
    flight: Sequence[int]
    tokens: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A run.

    Args:
        began_us: When it began, UTC microseconds.
        figures: ``ttft``, ``itl``, ``tpot``, ``e2e``, ``delay``; ``ttft_sent`` and ``e2e_sent``
            count from the actual send: what a client that waits would have seen.
        flight: Requests under way at once: by Little's law (arrivals times mean latency), at most.
        dots: Scheduled second, latency, and 0 for warm-up, 1 for good, 2 for one that misses an
            objective; at most 2 000 of all.
    """

    version: str
    began_us: int
    plan: Plan
    conditions: Conditions
    counts: Counts
    faults: list[Fault]
    figures: dict[str, Figure]
    rates: Rates
    tokens: TokenSums
    goodput: Goodput | None
    health: Health
    steady: Steady
    flight: tuple[float, int]
    timeline: Timeline
    dots: list[tuple[float, float, int]]
    format: int = FORMAT
