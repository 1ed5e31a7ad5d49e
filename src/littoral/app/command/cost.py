"""``littoral cost``: the four functions of edge and cloud, on figures given."""

from typing import TypeVar

from littoral.app.command.encoding import plain
from littoral.app.command.figures import span
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import Screen, screen
from littoral.cost.capacity import size_cloud, size_edge
from littoral.cost.service import predict_cloud, predict_edge
from littoral.domain.errors import InvalidInput
from littoral.domain.platform import (
    Calibration,
    Capacity,
    EdgeNode,
    Estimate,
    Link,
    Load,
    Mix,
    NodePrice,
    Objective,
    Pool,
    ReplicaPrice,
    Task,
    TokenPrice,
)
from littoral.domain.units import Seconds, Tokens

MILLION = 1e6
MANY = 1e9
"""No figure is as large."""
MOST_SLOTS, MOST_MACHINES = 1000, 10_000
"""What can be computed in a few seconds."""
_Number = TypeVar("_Number", int, float)


def edge(  # noqa: PLR0913  each is one symbol of the function
    *,
    tokens_in: int,
    tokens_out: int,
    prefill_ms: float,
    step_ms: float,
    pen: float = 0.3,
    slots: int = 4,
    active: int = 0,
    rtt_ms: float = 0.0,
    watts: float = 30.0,
    kwh: float = 0.6,
    rate: float = 0.0,
    total_s: float = 10.0,
    nodes: int = 1,
    reach: Reach = HERE,
) -> None:
    """One request on an edge machine (ECS), and what so many of them carry (ECP).

    Args:
        tokens_in: Input of a request, tokens (C).
        tokens_out: Its answer, tokens (C).
        prefill_ms: To read one input token, milliseconds.
        step_ms: To write one token alone, milliseconds.
        pen: Share by which each further request slows a step down.
        slots: Requests served at once.
        active: Requests in service already (T).
        rtt_ms: Round trip of the link, milliseconds (B).
        watts: What serving takes beyond idling.
        kwh: Price of a kilowatt-hour.
        rate: Requests a second to carry (T).
        total_s: Objective: nineteen of twenty requests within so many seconds (T).
        nodes: How many machines (N).
        reach: For --json only; nothing is asked.
    """
    _not_negative(rtt_ms=rtt_ms, watts=watts, kwh=kwh, rate=rate)
    given = _calibration(prefill_ms, step_ms, pen=pen, slots=slots)
    price = NodePrice(active_w=watts, kwh=kwh)
    found = predict_edge(
        _task(tokens_in, tokens_out),
        _load(active, slots),
        Link(rtt_s=Seconds(rtt_ms / 1000)),
        calibration=given,
        price=price,
    )
    mix = Mix(rate=rate, tokens_in=float(tokens_in), tokens_out=float(tokens_out))
    machines = _positive("nodes", nodes, most=MOST_MACHINES)
    every = [EdgeNode(calibration=given, price=price)] * machines
    carried = size_edge(mix, every, _objective(total_s))
    _show(screen(as_json=reach.json), found, carried)


def cloud(  # noqa: PLR0913  each is one symbol of the function
    *,
    tokens_in: int,
    tokens_out: int,
    prefill_ms: float,
    step_ms: float,
    pen: float = 0.1,
    slots: int = 16,
    rtt_ms: float = 60.0,
    price_in: float = 0.0,
    price_out: float = 0.0,
    hour: float = 1.0,
    rate: float = 0.0,
    total_s: float = 10.0,
    most: int = 16,
    reach: Reach = HERE,
) -> None:
    """One request in the cloud (CCS), and how many replicas carry a rate (CCP).

    Args:
        tokens_in: Input of a request, tokens (C).
        tokens_out: Its answer, tokens (C).
        prefill_ms: To read one input token, milliseconds.
        step_ms: To write one token alone, milliseconds.
        pen: Share by which each further request slows a step down.
        slots: Requests that a replica serves at once.
        rtt_ms: Round trip of the link, milliseconds (B).
        price_in: Per million input tokens, where it is paid by the token.
        price_out: Per million output tokens.
        hour: Price of a replica's hour (R).
        rate: Requests a second to carry (T).
        total_s: Objective: nineteen of twenty requests within so many seconds (T).
        most: Replicas that can be had (M).
        reach: For --json only; nothing is asked.
    """
    _not_negative(rtt_ms=rtt_ms, price_in=price_in, price_out=price_out, hour=hour, rate=rate)
    given = _calibration(prefill_ms, step_ms, pen=pen, slots=slots)
    rented = ReplicaPrice(hour=hour)
    by_token = TokenPrice(token_in=price_in / MILLION, token_out=price_out / MILLION)
    found = predict_cloud(
        _task(tokens_in, tokens_out),
        Load(),
        Link(rtt_s=Seconds(rtt_ms / 1000)),
        calibration=given,
        price=by_token if price_in or price_out else rented,
    )
    mix = Mix(rate=rate, tokens_in=float(tokens_in), tokens_out=float(tokens_out))
    pool = Pool(calibration=given, price=rented, most=_positive("most", most, most=MOST_MACHINES))
    _show(screen(as_json=reach.json), found, size_cloud(mix, pool, _objective(total_s)))


def _calibration(prefill_ms: float, step_ms: float, *, pen: float, slots: int) -> Calibration:
    _not_negative(pen=pen)
    return Calibration(
        prefill_s=Seconds(_positive("prefill-ms", prefill_ms) / 1000),
        step_s=Seconds(_positive("step-ms", step_ms) / 1000),
        pen=pen,
        slots=_positive("slots", slots, most=MOST_SLOTS),
    )


def _positive(name: str, value: _Number, *, most: float = MANY) -> _Number:
    if not 0 < value <= most:
        raise InvalidInput(f"--{name}: {value} is not above 0 and at most {most:,.0f}")
    return value


def _not_negative(**figures: float) -> None:
    for name, value in figures.items():
        if not 0 <= value <= MANY:
            told = f"--{name.replace('_', '-')}: {value} is not within 0 to {MANY:,.0f}"
            raise InvalidInput(told)


def _task(tokens_in: int, tokens_out: int) -> Task:
    out = Tokens(_positive("tokens-out", tokens_out))
    return Task(tokens_in=Tokens(_positive("tokens-in", tokens_in)), out_p50=out, out_p90=out)


def _load(active: int, slots: int) -> Load:
    if not 0 <= active < slots:
        raise InvalidInput(f"--active: {active} is not within 0 to {slots - 1}, the slots but one")
    return Load(active=active)


def _objective(total_s: float) -> Objective:
    return Objective(total_s=Seconds(_positive("total-s", total_s)))


def _show(shown: Screen, found: Estimate, carried: Capacity) -> None:
    shown.json({"service": plain(found), "platform": plain(carried)})
    shown.line("one request")
    for name, p50, p90 in (
        ("first token", found.first_p50_s, found.first_p90_s),
        ("last token", found.total_p50_s, found.total_p90_s),
    ):
        shown.line(f"  {name:<13}{span(p50)}, 9 of 10 within {span(p90)}")
    shown.line(f"  costs        {found.marginal:.6g}; with its share of all {found.full:.6g}")
    terms = ", ".join(f"{name} {span(each)}" for name, each in found.terms.items() if each)
    shown.line(f"  made of      {terms}")
    shown.line("the platform")
    shown.line(f"  carries      {carried.rate:.4g} a second, {carried.guaranteed:.4g} for sure")
    shown.line(f"  size         {carried.size}, {carried.month:.6g} a month")
    if not carried.feasible:
        shown.line(f"  too small    the rate is {carried.factor:.3g} times what it carries")
