from dataclasses import replace

import pytest

from littoral.domain.deployment import DeploymentSpec
from littoral.domain.ids import DeploymentName, EndpointId
from littoral.domain.policy import Cascade, Match, Policy, PolicySpec
from littoral.domain.units import Micros, Seconds, Tokens
from littoral.domain.usage import CACHE
from littoral.placement.account import outlook
from littoral.placement.history import Priced, moments, priced
from littoral.testing.usage import usage_record

SECOND = 1_000_000
PRICES = {"near": Priced(slots=1), "far": Priced(price_in=1.0, price_out=2.0)}


def record(number: int, deployment: str, *, at_s: float, total_s: float):
    return usage_record(
        number,
        deployment=DeploymentName(deployment),
        endpoint=EndpointId(f"{deployment}@1"),
        tokens_in=Tokens(100),
        tokens_out=Tokens(20),
        at_us=Micros(round(at_s * SECOND)),
        first_us=round(total_s * SECOND / 10),
        total_us=round(total_s * SECOND),
        predicted_us=round(total_s * SECOND),
        predicted_p90_us=round(total_s * 1.5 * SECOND),
    )


def traffic(count: int = 60):
    """In turn: a near place that takes 4 s, a far one that takes 1 s; one every 5 s."""
    return [
        record(n, "near" if n % 2 else "far", at_s=5.0 * n, total_s=4.0 if n % 2 else 1.0)
        for n in range(count)
    ]


def policy(**wanted) -> Policy:
    return Policy(name="p", spec=PolicySpec(**wanted))


def test_each_request_is_predicted_from_those_that_had_ended():
    last = list(moments(traffic(), PRICES))[-1]
    by_name = {each.deployment: each for each in last.options}
    assert by_name["near"].total_p50_s == pytest.approx(4.0, rel=0.2)
    assert by_name["far"].total_p50_s == pytest.approx(1.0, rel=0.2)
    assert by_name["far"].total_p90_s > by_name["far"].total_p50_s
    assert by_name["far"].cost == pytest.approx(140e-6, rel=0.1)
    assert (last.chosen, last.why, last.policy) == ("near@1", "cheapest", None)
    first = next(moments(traffic(), PRICES))
    assert [each.deployment for each in first.options] == ["far"]
    assert first.why == "only"


def test_whoever_is_still_there_counts():
    busy = [record(0, "near", at_s=0, total_s=9.0), record(1, "near", at_s=1, total_s=9.0)]
    found = list(moments(busy, PRICES))
    assert [each.options[0].load for each in found] == [0, 1]
    assert [each.options[0].learned for each in found] == [0, 0]


def test_a_deadline_sends_it_elsewhere_and_says_who_was_too_late():
    last = list(moments(traffic(600), PRICES, [policy(total_s=Seconds(3.5))]))[-1]
    assert (last.chosen, last.policy, last.total_s) == ("far@1", "p", 3.5)
    assert last.counts == {"deadline": 1}
    assert [each.rejected for each in last.options] == [None, "deadline"]


def test_the_tag_is_the_keys_else_a_policys_and_that_of_the_record_where_the_key_is_unknown():
    told = [replace(each, tag="old") for each in traffic(2)]
    giving = Policy(name="g", spec=PolicySpec(match=Match(projects=("default",)), tag="chat"))
    by_tag = Policy(name="t", spec=PolicySpec(match=Match(tags=("chat",)), total_s=Seconds(9)))
    both = [giving, by_tag]
    last = list(moments(told, PRICES, both, tags={"k1": ""}))[-1]
    assert (last.tag, last.policy) == ("chat", "t")
    assert [each.tag for each in moments(told, PRICES, both, tags={"k1": "own"})] == ["own"] * 2
    assert [each.tag for each in moments(told, PRICES, both)] == ["old"] * 2


def test_the_length_of_answers_is_that_of_the_tag():
    known = [
        replace(each, tag="short" if n % 3 else "long", tokens_out=Tokens(10 if n % 3 else 400))
        for n, each in enumerate(traffic(300))
    ]
    by_tag = {each.record.tag: each for each in moments(known, PRICES)}
    far = [by_tag[tag].options[0].cost for tag in ("short", "long")]
    assert far[1] > 3 * far[0]


def test_what_a_policy_bars_is_rejected_for_that():
    barring = policy(deployments=("far",), total_s=Seconds(0.5), miss_cost=1e-9)
    last = list(moments(traffic(), PRICES, [barring]))[-1]
    assert last.counts == {"deadline": 1, "policy": 1}
    assert (last.chosen, last.why) == (None, "shed")


def test_failures_and_the_cache_are_left_out():
    records = traffic(2)
    failed = replace(records[0], status="failed")
    cached = replace(records[1], endpoint=CACHE)
    assert list(moments([failed, cached], PRICES)) == []


def test_a_deployment_without_a_price_is_free():
    priced = policy(total_s=Seconds(9), miss_cost="auto")
    assert list(moments(traffic(4), {}, [priced]))[-1].options[0].cost == 0.0


def test_a_deployment_that_has_served_nothing_yet_is_an_unmeasured_machine():
    known = {**PRICES, "spare": Priced(serves="tiny")}
    *_, last = moments(traffic(9), known)
    spare = last.options[-1]
    assert [each.endpoint for each in last.options] == ["far@1", "near@1", "spare"]
    assert spare.total_p90_s == pytest.approx(3 * spare.total_p50_s, rel=0.5)
    served = {"near": Priced(serves="tiny")}
    assert [each.endpoint for each in list(moments(traffic(2), served))[-1].options] == [
        *("far@1", "near@1")
    ]


def test_a_deployment_is_priced_as_it_is_declared():
    spec = DeploymentSpec(model="m", price_in=1.0, price_out=2.0)
    assert priced("d", spec) == Priced(serves="d", price_in=1.0, price_out=2.0)
    named = replace(spec, serves="chat", slots=7)
    assert (priced("d", named).serves, priced("d", named).slots) == ("chat", 7)


def cascade(**wanted) -> Policy:
    stages = Cascade(first=DeploymentName("near"), then=DeploymentName("far"), below=0.5)
    return policy(cascade=stages, **wanted)


def whole(count: int = 600):
    return [replace(each, streamed=False) for each in traffic(count)]


def test_a_cascade_begins_where_both_bounds_fit_into_the_deadline():
    free = list(moments(whole(), PRICES, [cascade()]))[-1]
    assert (free.chosen, free.then) == ("near@1", "far@1")
    tight = list(moments(whole(), PRICES, [cascade(total_s=Seconds(4.5))]))[-1]
    assert tight.then is None
    streamed = list(moments(traffic(60), PRICES, [cascade()]))[-1]
    assert streamed.then is None


def test_a_cascade_needs_a_place_of_each_of_its_deployments():
    alone = [each for each in whole(60) if each.deployment == "near"]
    assert list(moments(alone, PRICES, [cascade()]))[-1].then is None


def test_of_several_answers_to_one_request_the_first_counts_and_all_teach():
    first = record(1, "near", at_s=0, total_s=4.0)
    second = replace(record(1, "far", at_s=4, total_s=1.0), attempt=1)
    found = list(moments([first, second, record(2, "far", at_s=9, total_s=1.0)], PRICES))
    assert [each.record.attempt for each in found] == [0, 0]
    assert [option.learned for option in found[-1].options] == [1, 1]


def test_what_a_cascade_costs_is_known_from_below_and_from_above():
    found = outlook(list(moments(whole(), PRICES, [cascade()]))[20:])
    assert found.staged == found.requests == 580
    assert found.cost == 0.0
    assert found.cost_most == pytest.approx(580 * 140e-6, rel=0.2)
