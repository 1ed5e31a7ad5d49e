"""Service level objectives as people write them."""

import pytest

from littoral.app.bench.objective import met, parse
from littoral.domain.errors import InvalidInput


def test_seconds_and_milliseconds_are_read():
    assert parse("ttft=0.5, tpot=50ms,e2e=2s,itl=.2") == {
        "ttft": 0.5,
        "tpot": 0.05,
        "e2e": 2.0,
        "itl": 0.2,
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no objective"),
        ("ttft", "no objective"),
        ("speed=3", "ttft=..., itl=..., tpot=..., e2e=..."),
        ("ttft=1,ttft=2", "twice"),
        ("ttft=0", "above zero"),
        ("ttft=-1", "above zero"),
        ("ttft=fast", "above zero"),
        ("ttft=1h", "above zero"),
        ("ttft=1,", "no objective"),
    ],
)
def test_what_is_no_objective_is_refused_and_told_how(text, why):
    with pytest.raises(InvalidInput, match=why):
        parse(text)


def test_every_bound_must_be_met_and_an_undefined_metric_is():
    slo = {"ttft": 0.5, "tpot": 0.05}
    assert met({"ttft": 0.5, "tpot": None}, slo)
    assert not met({"ttft": 0.51, "tpot": 0.01}, slo)
    assert not met({"ttft": 0.1, "tpot": 0.06}, slo)
    assert met({"ttft": 9.0}, {})
