"""Health: what outcomes say of places, and which places are left alone because of it.

A place that is left alone looks unready to ``rank``, so choosing costs nothing more than before.
"""

from collections.abc import Iterable

from littoral.gateway.breaker import ejected
from littoral.gateway.table import ModelRow, Place


def good(model: ModelRow, place: Place, now: float) -> None:
    """A place answered; needed only while it is ``watched``. The call is counted already."""
    if place.throttle is not None:
        place.throttle.outcome(now, taken=True)
    if place.breaker.alert and place.breaker.succeeded():
        refit(model)
    place.watched = place.throttle is not None or place.breaker.alert


def bad(model: ModelRow, place: Place, now: float, *, connect: bool) -> None:
    """A place failed: could not be reached, broke off, fell silent or answered with a 5xx."""
    place.watched = True
    place.breaker.calls += 1
    if place.throttle is not None:
        place.throttle.outcome(now, taken=False)
    if place.breaker.failed(now, connect=connect):
        refit(model)


def busy(place: Place, now: float) -> None:
    """A place said that it takes no more for now: no failure, but sparing it helps."""
    place.breaker.let_go()
    if place.throttle is not None:
        place.throttle.outcome(now, taken=False)


def tried(model: ModelRow, place: Place) -> None:
    """A request goes to a place as its probe: no second one until it has an outcome."""
    place.trial = False
    place.breaker.probing = True
    refit(model)


def look(models: Iterable[ModelRow], now: float) -> None:
    """Note how many calls there were, and let probes go whose time has come; about each second."""
    for model in models:
        for place in model.places:
            place.breaker.mark(now)
            if place.ejected and not place.trial and place.breaker.may_probe(now):
                place.trial = True
                model.look()


def refit(model: ModelRow) -> None:
    """Choose anew which places are left alone: at most half of the model's."""
    places = model.places
    before = sum(1 << at for at, place in enumerate(places) if place.ejected)
    out = ejected([place.breaker for place in places], before=before)
    for at, place in enumerate(places):
        place.ejected = bool(out >> at & 1)
        place.trial = place.trial and place.ejected
    model.look()
