"""Plans, rows and results for tests."""

from array import array

from littoral.app.bench.crew import Harvest
from littoral.app.bench.message import OK, Row
from littoral.app.bench.prompt import Scale
from littoral.app.bench.result import Plan
from littoral.app.bench.run import Wish, conditions, result
from littoral.domain.units import Micros

SLO = {"ttft": 0.2, "tpot": 0.15}


def plan(**given):
    """A plan of a run of ten seconds at ten a second."""
    usual = {
        "url": "http://127.0.0.1:8000",
        "endpoint": "chat",
        "model": "m",
        "stream": True,
        "arrivals": "poisson",
        "rate": 10.0,
        "duration": 10.0,
        "requests": 100,
        "seed": 0,
        "workers": 1,
        "tokens_in": "20",
        "tokens_out": "5",
        "timeout": 60.0,
    }
    return Plan(**(usual | given))


def row(at=0.0, *, index=0, ttft=0.1, e2e=0.5, late=0.001, kind=OK, gaps=(0.1,) * 4, tokens=5):
    """One request: due at ``at``, sent ``late``."""
    answered = kind == OK
    return Row(
        index=index,
        at=at,
        asked_in=20,
        asked_out=tokens,
        sent=at + late,
        first=at + ttft if answered else None,
        last=at + e2e if answered else None,
        kind=kind,
        detail="" if answered else f"why {kind}",
        tokens_in=22 if answered else 0,
        tokens_out=tokens if answered else 0,
        cached=3 if answered else 0,
        counted=answered,
        gaps=array("f", gaps).tobytes() if answered else b"",
    )


def steady_rows(count=1000, *, rate=10.0, **given):
    """A run in which nothing changes."""
    return [row(place / rate, index=place, **given) for place in range(count)]


ANSWERED = row()


def made(rows=None, **given):
    """The result of a run of a hundred seconds."""
    asked = plan(**({"duration": 100.0, "slo": SLO} | given))
    harvest = Harvest(workers=1, rows=rows or steady_rows(), lags=[0.0001] * 9, cpu={0: 3.0})
    wish = Wish(plan=asked, arrivals=[], scale=Scale(), key="", warmup=10.0)
    return result(wish, harvest, conditions=conditions(Scale()), began=Micros(0))
