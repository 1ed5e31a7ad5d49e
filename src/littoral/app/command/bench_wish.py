"""What ``littoral bench run`` is asked to do: options read, checked and made a schedule."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

from cyclopts import Parameter

from littoral.app.bench import lengths, objective, trace
from littoral.app.bench.arrival import Arrival, Process, gaps, times
from littoral.app.bench.message import Endpoint
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import Plan
from littoral.app.bench.run import CYCLE, Wish
from littoral.app.command import parsing
from littoral.app.command.site import Target
from littoral.app.system import SystemChance
from littoral.domain.errors import InvalidInput

RATE = 1.0
DURATION_S = 30.0
LONGEST_S = 7 * 86400.0
MOST_REQUESTS = 5_000_000
MOST_RATE = 100_000.0
MOST_CLIENTS = 8192
MOST_WORKERS = 64
A_WORKER = 800.0
"""Requests a second that one worker sends on time beside others on the same machine."""


@Parameter(name="*", group="When requests are sent")
@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The schedule.

    Args:
        rate: Mean requests a second; by default 1, or the trace's own.
        arrivals: How they come: poisson (independent callers), gamma (bursts, see --cv), constant.
        cv: Coefficient of variation of the times between requests, for gamma: 1 is poisson, 4 wild.
        duration: For how long to send: 30s, 5m, 1h; by default 30s, or the whole trace.
        requests: Send at most so many.
        concurrency: Closed loop instead: so many clients, each waits for its answer and asks again.
        trace: Replay a file: Azure 2023 CSV, Mooncake JSON lines, or what --rows wrote.
        speed: Replay a trace so many times faster.
        max_tokens_in: Cut longer prompts of a trace to so many tokens.
        max_tokens_out: Cut longer answers of a trace to so many tokens.
        seed: Same seed, same schedule, same prompts.
        workers: Processes that send; by default as many as the rate needs.
        warmup: Leave out the first 10s, 1m, or 0s; by default a fifth of the run or more.
    """

    rate: float | None = None
    arrivals: Literal["poisson", "gamma", "constant"] = "poisson"
    cv: float | None = None
    duration: str | None = None
    requests: int | None = None
    concurrency: int = 0
    trace: Path | None = None
    speed: float = 1.0
    max_tokens_in: int = 0
    max_tokens_out: int = 0
    seed: int = 0
    workers: int = 0
    warmup: str | None = None


@Parameter(name="*", group="What they ask for")
@dataclass(frozen=True, kw_only=True)
class Shape:
    """The requests.

    Args:
        endpoint: chat, completions or embeddings.
        whole: Answers in one piece instead of a stream.
        tokens_in: Length of prompts: 256, 100-500, lognormal:512,0.8, normal:512,100.
        tokens_out: Most tokens of an answer, likewise.
        shared_prefix: Part of each prompt, from 0 to 1, that other prompts begin with, too.
        prefixes: How many different beginnings there are.
        extra: JSON that is put into every request, such as '{"temperature": 0}'.
        timeout: After how long a request counts as failed.
        slo: Bounds of a good request: ttft=0.5,tpot=50ms,e2e=5,itl=0.2.
    """

    endpoint: Endpoint = "chat"
    whole: Annotated[bool, Parameter(negative="--stream")] = False
    tokens_in: str = "128"
    tokens_out: str = "32"
    shared_prefix: float = 0.0
    prefixes: int = 1
    extra: str | None = None
    timeout: str = "120s"
    slo: str | None = None


TRAFFIC = Traffic()
SHAPE = Shape()


def wish(traffic: Traffic, shape: Shape, *, model: str, target: Target, scale: Scale) -> Wish:
    """A run, ready to be dealt out.

    Args:
        traffic: The schedule's options.
        shape: The requests' options.
        model: Which model.
        target: Whom to ask, with which key.
        scale: What the service counts for a prompt.

    Raises:
        InvalidInput: An option is out of its range, or options contradict each other.
    """
    check(traffic, shape)
    arrivals = schedule(traffic, shape)
    duration = _duration(traffic, arrivals)
    count = len(arrivals)
    if traffic.concurrency:
        count = traffic.requests or MOST_REQUESTS
    rate = 0.0 if traffic.concurrency else _rate(traffic, arrivals, duration)
    plan = Plan(
        url=target.url,
        endpoint=shape.endpoint,
        model=model,
        stream=streams(shape),
        arrivals=_arrivals(traffic),
        rate=rate,
        cv=traffic.cv or 1.0,
        clients=traffic.concurrency,
        trace="" if traffic.trace is None else traffic.trace.name,
        speed=traffic.speed,
        duration=duration,
        requests=count,
        seed=traffic.seed,
        workers=_workers(traffic, rate),
        tokens_in="trace" if traffic.trace else shape.tokens_in,
        tokens_out="trace" if traffic.trace else shape.tokens_out,
        share=shape.shared_prefix,
        groups=shape.prefixes,
        timeout=parsing.duration(shape.timeout, what="--timeout"),
        slo=objectives(shape),
        extra=extra(shape.extra),
    )
    warmup = None if traffic.warmup is None else parsing.duration(traffic.warmup, what="--warmup")
    return Wish(
        plan=plan,
        arrivals=arrivals,
        scale=scale,
        key=target.key,
        warmup=warmup,
        certificate=target.certificate,
        authority=target.authority,
    )


def streams(shape: Shape) -> bool:
    """Whether answers come as streams; embeddings never do."""
    return not shape.whole and shape.endpoint != "embeddings"


def objectives(shape: Shape) -> dict[str, float]:
    """The bounds of a good request.

    Raises:
        InvalidInput: They are malformed, or need a stream where there is none.
    """
    found = {} if shape.slo is None else objective.parse(shape.slo)
    if not streams(shape) and set(found) - {"e2e"}:
        raise InvalidInput("--slo: answers in one piece have no ttft, tpot or itl; only e2e")
    return found


def check(traffic: Traffic, shape: Shape) -> None:
    """Refuse what is out of range, before anything is sent.

    Raises:
        InvalidInput: With the option's name and what it may be.
    """
    _between("--rate", traffic.rate, (0.001, MOST_RATE))
    _between("--cv", traffic.cv, (0.01, 20))
    _between("--speed", traffic.speed, (0.001, 10_000))
    _between("--concurrency", traffic.concurrency, (0, MOST_CLIENTS))
    _between("--requests", traffic.requests, (1, MOST_REQUESTS))
    _between("--workers", traffic.workers, (0, MOST_WORKERS))
    _between("--max-tokens-in", traffic.max_tokens_in, (0, lengths.MOST))
    _between("--max-tokens-out", traffic.max_tokens_out, (0, lengths.MOST))
    _between("--shared-prefix", shape.shared_prefix, (0, 1))
    _between("--prefixes", shape.prefixes, (1, 1_000_000))
    _contradictions(traffic)
    objectives(shape)
    extra(shape.extra)


def _contradictions(traffic: Traffic) -> None:
    if traffic.cv is not None and traffic.arrivals != "gamma":
        raise InvalidInput("--cv is for --arrivals gamma; poisson has 1 and constant 0")
    if traffic.concurrency and (traffic.rate or traffic.trace):
        raise InvalidInput(
            "--concurrency is a closed loop: it has no --rate and no --trace, its answers set "
            "the pace"
        )
    if traffic.trace and traffic.rate:
        raise InvalidInput("a trace has its own rate: change it with --speed, not --rate")


def _between(name: str, value: float | None, ends: tuple[float, float]) -> None:
    low, high = ends
    if value is not None and not low <= value <= high:
        raise InvalidInput(f"{name} must be {low:g} to {high:g}, not {value:g}")


def extra(text: str | None) -> dict[str, object]:
    """JSON that every request holds.

    Raises:
        InvalidInput: It is no JSON object.
    """
    try:
        found = cast("object", json.loads(text or "{}"))
    except ValueError as error:
        raise InvalidInput(f"--extra is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidInput("--extra must be a JSON object, such as '{\"temperature\": 0}'")
    return cast("dict[str, object]", found)


def schedule(traffic: Traffic, shape: Shape) -> list[Arrival]:
    """Every request and its moment; of a closed loop lengths only.

    Raises:
        InvalidInput: It is empty or too long, or the trace cannot be read.
    """
    if traffic.trace is not None:
        return _replayed(traffic, traffic.trace)
    chance = SystemChance(f"{traffic.seed}/lengths")
    ins = lengths.parse(shape.tokens_in, what="--tokens-in")
    outs = lengths.parse(shape.tokens_out, what="--tokens-out")
    moments = [0.0] * CYCLE if traffic.concurrency else _moments(traffic)
    return [
        Arrival(at=at, tokens_in=lengths.draw(ins, chance), tokens_out=lengths.draw(outs, chance))
        for at in moments
    ]


def _moments(traffic: Traffic) -> list[float]:
    rate = traffic.rate or RATE
    seconds = _seconds(traffic.duration)
    if traffic.requests and traffic.duration is None:
        seconds = LONGEST_S
    elif rate * seconds > MOST_REQUESTS:
        raise InvalidInput(f"--rate times --duration must be at most {MOST_REQUESTS} requests")
    process: Process = traffic.arrivals
    chance = SystemChance(f"{traffic.seed}/arrivals")
    gap = gaps(process, chance, cv=traffic.cv or 1.0)
    found = times(gap, rate=rate, duration=seconds, count=traffic.requests)
    if not found:
        raise InvalidInput(
            f"no request falls into {seconds:g} s at {rate:g} a second: raise --rate or --duration"
        )
    return found


def _replayed(traffic: Traffic, file: Path) -> list[Arrival]:
    try:
        text = file.read_text("utf-8", "replace")
    except OSError as error:
        raise InvalidInput(f"--trace {str(file)!r} cannot be read: {error.strerror}") from None
    given = traffic.duration
    cut = trace.Cut(
        speed=traffic.speed,
        duration=math.inf if given is None else _seconds(given),
        count=traffic.requests,
        most_in=traffic.max_tokens_in,
        most_out=traffic.max_tokens_out,
    )
    return trace.taken(trace.read(text, name=file.name), cut)


def _seconds(text: str | None) -> float:
    seconds = DURATION_S if text is None else parsing.duration(text, what="--duration")
    if not 1 <= seconds <= LONGEST_S:
        raise InvalidInput("--duration must be 1s to 7d")
    return seconds


def _duration(traffic: Traffic, arrivals: list[Arrival]) -> float:
    last = arrivals[-1].at
    if traffic.duration is None and (traffic.trace or traffic.requests):
        if traffic.concurrency:
            return LONGEST_S
        return max(last, 0.001)
    return _seconds(traffic.duration)


def _rate(traffic: Traffic, arrivals: list[Arrival], duration: float) -> float:
    return len(arrivals) / duration if traffic.trace else traffic.rate or RATE


def _arrivals(traffic: Traffic) -> str:
    if traffic.concurrency:
        return "closed"
    return "trace" if traffic.trace else traffic.arrivals


def _workers(traffic: Traffic, rate: float) -> int:
    """As many processes as the load needs, and one core left for what is measured."""
    if traffic.workers:
        return min(traffic.workers, traffic.concurrency or traffic.workers)
    cores = len(os.sched_getaffinity(0))
    wanted = math.ceil(max(rate / A_WORKER, traffic.concurrency / 512))
    return max(1, min(wanted, max(1, cores - 1)))
