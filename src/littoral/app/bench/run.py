"""One run: a plan and a schedule become tasks of workers, their rows a result."""

import os
import platform
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from littoral.app.bench.arrival import Arrival
from littoral.app.bench.crew import Harvest
from littoral.app.bench.message import PATHS, Address, Endpoint, Job, Task, Work
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import Conditions, Plan, Result
from littoral.app.bench.summary import Client, summed
from littoral.app.bench.timeline import dots, most_in_flight, timeline
from littoral.app.version import VERSION
from littoral.domain.errors import InvalidInput, Unavailable
from littoral.domain.units import Micros

MOST_IN_FLIGHT = 8192
CYCLE = 4096
"""Requests of a closed loop after which lengths repeat."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A run as it is asked for.

    Args:
        plan: What is written in the result.
        arrivals: The schedule; of a closed loop the lengths in their order.
        scale: What the service counts for a prompt.
        key: For the service; it goes to the workers' standard input and nowhere else.
        warmup: Seconds to leave out; None leaves it to the run.
        certificate: File with the one certificate to trust; else empty.
        authority: File with those of authorities; empty for the system's.
    """

    plan: Plan
    arrivals: Sequence[Arrival]
    scale: Scale
    key: str
    warmup: float | None = None
    certificate: str = ""
    authority: str = ""


def address(url: str, endpoint: Endpoint) -> Address:
    """Where requests of a service go; its name is resolved once.

    Raises:
        Unavailable: The name has no address.
        InvalidInput: It is no address of a service.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise InvalidInput(
            "the address must look like https://host or http://127.0.0.1:8080, without a name or "
            "password in it"
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"{parts.hostname!r} has no address: {error.strerror}") from error
    return Address(
        host=parts.hostname,
        peer=str(found[0][4][0]),
        port=port,
        tls=parts.scheme == "https",
        path=parts.path.rstrip("/") + PATHS[endpoint],
    )


def work(plan: Plan, scale: Scale) -> Work:
    """What every request of a run is made of."""
    return Work(
        endpoint=plan.endpoint,
        model=plan.model,
        stream=plan.stream,
        seed=plan.seed,
        per_word=scale.per_word,
        fixed=scale.fixed,
        share=plan.share,
        groups=plan.groups,
        extra=plan.extra,
    )


def tasks(wish: Wish) -> list[Task]:
    """Deal the schedule out: request i goes to worker i mod n."""
    plan = wish.plan
    place = msgspec.structs.replace(
        address(plan.url, plan.endpoint), certificate=wish.certificate, authority=wish.authority
    )
    made = work(plan, wish.scale)
    jobs = [
        Job(index, each.at, each.tokens_in, each.tokens_out, each.blocks)
        for index, each in enumerate(wish.arrivals)
    ]
    return [
        Task(
            address=place,
            key=wish.key,
            work=made,
            jobs=jobs[number :: plan.workers],
            step=plan.workers,
            clients=_part(plan.clients, number, plan.workers),
            duration=plan.duration,
            count=_part(plan.requests, number, plan.workers),
            timeout=plan.timeout,
            most_in_flight=MOST_IN_FLIGHT // plan.workers,
        )
        for number in range(plan.workers)
    ]


def _part(total: int, number: int, count: int) -> int:
    return total // count + (number < total % count)


def result(wish: Wish, harvest: Harvest, *, conditions: Conditions, began: Micros) -> Result:
    """The record of a run.

    Args:
        wish: What was asked.
        harvest: What the workers told.
        conditions: The machine.
        began: UTC.
    """
    plan, rows = wish.plan, harvest.rows
    client = Client(
        lags=harvest.lags,
        cpu=_share(harvest, rows_end=max((row.last or row.at for row in rows), default=0.0)),
        partial=harvest.stopped,
        lost=bool(harvest.lost),
    )
    made = summed(plan, rows, warmup=wish.warmup, client=client)
    mean = made.figures["e2e"].mean
    middle = mean.value if mean else dict(made.figures["e2e"].curve).get(0.5, 0.0)
    return Result(
        version=VERSION,
        began_us=began,
        plan=plan,
        conditions=conditions,
        counts=made.counts,
        faults=made.faults,
        figures=made.figures,
        rates=made.rates,
        tokens=made.tokens,
        goodput=made.goodput,
        health=made.health,
        steady=made.steady,
        flight=(made.rates.arrivals * middle, most_in_flight(rows)),
        timeline=timeline(rows, end=made.steady.end),
        dots=dots(plan, rows, begin=made.steady.warmup),
    )


def _share(harvest: Harvest, *, rows_end: float) -> float:
    """The share of a core that the busiest worker used."""
    return max(harvest.cpu.values(), default=0.0) / max(rows_end, 0.25)


def conditions(scale: Scale) -> Conditions:
    """This machine, before the run."""
    return Conditions(
        cpu=_processor(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        load=round(os.getloadavg()[0], 2),
        per_word=scale.per_word,
        fixed=scale.fixed,
        asked=scale.asked,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
